// `node examples.mjs VALIDATOR`: print the verdict of a validator on each example, by its schema and its sender's.
import { registerSchema, validate } from "@hyperjump/json-schema/draft-2020-12";
import Ajv from "ajv/dist/2020.js";
import { examples, schemas } from "cbspec-schemas";

const validators = {
  ajv() {
    const ajv = new Ajv({ schemas });
    return (id, message) => ajv.validate(id, message);
  },
  hyperjump() {
    schemas.forEach((schema) => registerSchema(schema));
    return async (id, message) => (await validate(id, message)).valid;
  },
};

const isValid = validators[process.argv[2]]();
const rows = [];
for (const { name, schema, direction, text } of examples) {
  for (const each of [schema, `${direction}_message`]) {
    rows.push([name, each, await isValid(`urn:cbspec:schema:2.0:${each}`, JSON.parse(text))]);
  }
}
console.log(JSON.stringify(rows));
