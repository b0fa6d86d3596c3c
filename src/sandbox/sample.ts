import { isRecord } from './request.ts';

/** Deep enough for any sensible schema, and an end for one that refers to itself. */
const DEPTH_MAX = 12;

/**
 * A value that a JSON schema would take, of its required properties only: strings are "example", numbers 1, booleans true.
 * `{ type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }` gives `{ city: 'example' }`.
 */
export function sampleOf(schema: unknown): unknown {
  return sampleAt(schema, schema, 0);
}

function sampleAt(schema: unknown, root: unknown, depth: number): unknown {
  if (!isRecord(schema) || depth > DEPTH_MAX) return {};
  if ('const' in schema) return schema['const'];
  if (Array.isArray(schema['enum']) && schema['enum'].length > 0) return firstOf(schema['enum']);
  if (typeof schema['$ref'] === 'string') return sampleAt(resolved(schema['$ref'], root), root, depth + 1);
  for (const key of ['anyOf', 'oneOf', 'allOf']) {
    const choices = schema[key];
    if (Array.isArray(choices) && choices.length > 0) return sampleAt(firstOf(choices), root, depth + 1);
  }
  switch (Array.isArray(schema['type']) ? firstOf(schema['type']) : schema['type']) {
    case 'string': return 'example';
    case 'number':
    case 'integer': return 1;
    case 'boolean': return true;
    case 'null': return null;
    case 'array': return [sampleAt(schema['items'], root, depth + 1)];
    default: return requiredOf(schema, root, depth);
  }
}

function requiredOf(schema: Readonly<Record<string, unknown>>, root: unknown, depth: number): unknown {
  const properties = isRecord(schema['properties']) ? schema['properties'] : {};
  const required: readonly unknown[] = Array.isArray(schema['required']) ? schema['required'] : [];
  const names = required.filter((name): name is string => typeof name === 'string' && Object.hasOwn(properties, name));
  return Object.fromEntries(names.map((name) => [name, sampleAt(properties[name], root, depth + 1)]));
}

/** A reference within the schema, such as `#/$defs/city`. */
function resolved(reference: string, root: unknown): unknown {
  if (!reference.startsWith('#/')) return undefined;
  return reference.slice(2).split('/').reduce<unknown>((place, key) => (isRecord(place) && Object.hasOwn(place, key) ? place[key] : undefined), root);
}

function firstOf(values: readonly unknown[]): unknown {
  return values[0];
}
