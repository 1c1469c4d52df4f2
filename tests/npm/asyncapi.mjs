// `node asyncapi.mjs`: print what AsyncAPI's own parser remarks on the document, and what it read in it.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Parser } from "@asyncapi/parser";

const file = fileURLToPath(import.meta.resolve("cbspec-schemas/asyncapi.json"));
const { document, diagnostics } = await new Parser().parse(readFileSync(file, "utf8"));
const operations = document?.allOperations().all().map((operation) => [
  operation.id(),
  operation.action(),
  operation.reply()?.messages().all().map((message) => message.name()) ?? [],
]);
console.log(JSON.stringify({ remarks: diagnostics.map(({ code, message, path }) => [code, path.join("."), message]), operations }));
