// Compiles each schema in ajv's strict mode; it may use the annotations that it names, and no other.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import Ajv from "ajv/dist/2020.js";

const folder = process.argv[2];
const names = readdirSync(folder).filter((name) => name.endsWith(".schema.json"));
const schemas = new Map(names.map((name) => [name, JSON.parse(readFileSync(join(folder, name)))]));
for (const [name, schema] of schemas) {
  // A secretRef may stand in place of a text, so what is required of it has no one type beside it.
  const ajv = new Ajv.default({ strictSchema: true, strictTuples: true, strictTypes: false, logger: false });
  const parts = [schema];
  for (const [other, part] of schemas) {
    if (other !== name && JSON.stringify(schema).includes(`"${other}"`)) {
      parts.push(part);
      ajv.addSchema(part, other);
    }
  }
  ajv.addVocabulary([...new Set(parts.flatMap((part) => part["x-annotations"] ?? []))]);
  try {
    ajv.compile(schema);
    console.log(`${name}: strict`);
  } catch (error) {
    console.log(`${name}: ${error.message}`);
    process.exitCode = 1;
  }
}
