import { isRecord } from './request.ts';

/** Deep enough for any sensible schema. Depth alone is no bound: k properties that each refer to the whole grow as a power of k. */
const DEPTH_MAX = 12;
/** What a value counts at least, its commas and quotes. */
const VALUE_CHARS = 8;

/** What may still be written, in characters of JSON, or looked at on the way to it. */
interface Room {
  readonly root: unknown;
  left: number;
}

/**
 * A value that a JSON schema would take, of its required properties only: strings are "example", numbers 1, booleans true.
 * `{ type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }` gives `{ city: 'example' }`.
 * Where that would pass `charsMax` characters of JSON, objects get no more properties, lists no item, and a long constant is null.
 */
export function sampleOf(schema: unknown, charsMax: number): unknown {
  return sampleAt(schema, { root: schema, left: charsMax }, 0);
}

function sampleAt(schema: unknown, room: Room, depth: number): unknown {
  if (!isRecord(schema) || depth > DEPTH_MAX || !spend(room, VALUE_CHARS)) return {};
  if ('const' in schema) return constant(schema['const'], room);
  if (Array.isArray(schema['enum']) && schema['enum'].length > 0) return constant(firstOf(schema['enum']), room);
  if (typeof schema['$ref'] === 'string') return sampleAt(resolved(schema['$ref'], room), room, depth + 1);
  for (const key of ['anyOf', 'oneOf', 'allOf']) {
    const choices = schema[key];
    if (Array.isArray(choices) && choices.length > 0) return sampleAt(firstOf(choices), room, depth + 1);
  }
  switch (Array.isArray(schema['type']) ? firstOf(schema['type']) : schema['type']) {
    case 'string': return 'example';
    case 'number':
    case 'integer': return 1;
    case 'boolean': return true;
    case 'null': return null;
    case 'array': return room.left > VALUE_CHARS ? [sampleAt(schema['items'], room, depth + 1)] : [];
    default: return requiredOf(schema, room, depth);
  }
}

function requiredOf(schema: Readonly<Record<string, unknown>>, room: Room, depth: number): unknown {
  const properties = isRecord(schema['properties']) ? schema['properties'] : {};
  const required: readonly unknown[] = Array.isArray(schema['required']) ? schema['required'] : [];
  const taken: (readonly [string, unknown])[] = [];
  for (const name of required) {
    // A name that is passed over costs time too.
    if (!spend(room, typeof name === 'string' ? name.length + 1 : 1) || room.left < VALUE_CHARS) break;
    if (typeof name === 'string' && Object.hasOwn(properties, name)) taken.push([name, sampleAt(properties[name], room, depth + 1)]);
  }
  return Object.fromEntries(taken);
}

function constant(value: unknown, room: Room): unknown {
  return spend(room, JSON.stringify(value).length) ? value : null;
}

/** Whether there was room for so much. What does not fit leaves none, so that nothing long is looked at twice. */
function spend(room: Room, chars: number): boolean {
  room.left = room.left < chars ? 0 : room.left - chars;
  return room.left > 0;
}

/** A reference within the schema, such as `#/$defs/city`. */
function resolved(reference: string, room: Room): unknown {
  if (!reference.startsWith('#/') || !spend(room, reference.length)) return undefined;
  return reference.slice(2).split('/').reduce<unknown>((place, key) => (isRecord(place) && Object.hasOwn(place, key) ? place[key] : undefined), room.root);
}

function firstOf(values: readonly unknown[]): unknown {
  return values[0];
}
