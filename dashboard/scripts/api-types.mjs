// Writes src/api/schema.ts from buraq/web/openapi.json: a type for each schema, and one for each operation.
// With --check it writes nothing, and fails when the file is not what it would write.
//
// It knows the part of OpenAPI 3.1 that the document uses, and stops at the rest.

import { readFileSync, writeFileSync } from "node:fs";

const SOURCE = new URL("../../buraq/web/openapi.json", import.meta.url);
const TARGET = new URL("../src/api/schema.ts", import.meta.url);
const PLAIN = { string: "string", integer: "number", number: "number", boolean: "boolean", null: "null" };

const document = JSON.parse(readFileSync(SOURCE, "utf8"));

function resolve(node) {
  if (!node.$ref) return node;
  return node.$ref
    .replace("#/", "")
    .split("/")
    .reduce((at, name) => at[name], document);
}

function comment(text, pad) {
  return text ? `${pad}/** ${text.replaceAll("*/", "* /")} */\n` : "";
}

function typeOf(schema, pad = "") {
  if (schema.$ref) return schema.$ref.split("/").at(-1);
  if (schema.allOf) return schema.allOf.map((part) => typeOf(part, pad)).join(" & ");
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.map((choice) => typeOf(choice, pad)).join(" | ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (Array.isArray(schema.type)) return schema.type.map((type) => typeOf({ ...schema, type }, pad)).join(" | ");
  if (schema.type === "array") {
    const item = typeOf(schema.items, pad);
    return /^\w+$/.test(item) ? `${item}[]` : `Array<${item}>`;
  }
  if (schema.type === "object") return objectType(schema, pad);
  if (schema.type in PLAIN) return PLAIN[schema.type];
  if (schema.type === undefined) return "unknown";
  throw new Error(`no type for ${JSON.stringify(schema)}`);
}

function objectType(schema, pad) {
  if (!schema.properties) {
    const values = schema.additionalProperties;
    return `Record<string, ${values && values !== true ? typeOf(values, pad) : "unknown"}>`;
  }
  const inner = `${pad}  `;
  const rows = Object.entries(schema.properties).map(([name, property]) => {
    const mark = schema.required?.includes(name) ? "" : "?";
    return `${comment(property.description, inner)}${inner}${name}${mark}: ${typeOf(property, inner)};\n`;
  });
  return `{\n${rows.join("")}${pad}}`;
}

function operations() {
  const found = [];
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const parameters = (operation.parameters ?? []).map(resolve);
      found.push({ path, method: method.toUpperCase(), operation, parameters });
    }
  }
  return found;
}

function fields(parameters) {
  const rows = parameters.map(({ name, required, schema }) => `${name}${required ? "" : "?"}: ${typeOf(schema)}`);
  return rows.length ? `{ ${rows.join("; ")} }` : "Record<never, never>";
}

function answer(responses) {
  const codes = Object.keys(responses).filter((code) => code.startsWith("2"));
  const types = codes.map((code) => {
    const json = resolve(responses[code]).content?.["application/json"];
    return json ? typeOf(json.schema) : "undefined";
  });
  return [...new Set(types)].join(" | ");
}

function operationType({ path, method, operation, parameters }) {
  const body = operation.requestBody?.content["application/json"].schema;
  const rows = [
    `method: "${method}"`,
    `path: "${path}"`,
    `at: ${fields(parameters.filter((parameter) => parameter.in === "path"))}`,
    `query: ${fields(parameters.filter((parameter) => parameter.in === "query"))}`,
    `body: ${body ? typeOf(body) : "undefined"}`,
    `answer: ${answer(operation.responses)}`,
  ];
  const inner = rows.map((row) => `    ${row};\n`).join("");
  return `${comment(operation.summary, "  ")}  ${operation.operationId}: {\n${inner}  };\n`;
}

const types = Object.entries(document.components.schemas).map(
  ([name, schema]) => `${comment(schema.description, "")}export type ${name} = ${typeOf(schema)};\n`,
);
const all = operations();
const written = `// Written by scripts/api-types.mjs from buraq/web/openapi.json. Change that, then run \`npm run types\`.

${types.join("\n")}
export interface Operations {
${all.map(operationType).join("")}}

export const ROUTES: { [Name in keyof Operations]: readonly [Operations[Name]["method"], Operations[Name]["path"]] } = {
${all.map(({ path, method, operation }) => `  ${operation.operationId}: ["${method}", "${path}"],\n`).join("")}};
`;

if (!process.argv.includes("--check")) writeFileSync(TARGET, written);
else if (readFileSync(TARGET, "utf8") !== written) {
  console.error("src/api/schema.ts is not what buraq/web/openapi.json says. Run: npm run types");
  process.exit(1);
}
