import { readFileSync, readdirSync } from "node:fs";

const read = (path) => readFileSync(new URL(`cbspec_schemas/${path}`, import.meta.url), "utf8");

/** The eleven schemas: one of each type of message, and one of all messages of a client and of a relay. */
export const schemas = readdirSync(new URL("cbspec_schemas", import.meta.url))
  .filter((file) => file.endsWith(".schema.json"))
  .map((file) => JSON.parse(read(file)));

/** The rows of examples/index.json, with the message as `text`. */
export const examples = JSON.parse(read("examples/index.json"))
  .map((row) => ({ ...row, text: read(`examples/${row.file}`) }));
