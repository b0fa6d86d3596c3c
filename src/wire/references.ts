import { isFields } from './json.ts';
import type { Fields } from './json.ts';

/** What references mean, and its copies in characters of JSON: Kimi takes no schema of more, and nobody shall make work of it. */
const MOVED_MAX = 1_000;
const MOVED_CHARS_MAX = 100_000;

/** Where schemas stand in a schema: one, a list of them, or some by their names. */
const ONE: ReadonlySet<string> = new Set(['items', 'additionalProperties', 'contains', 'not', 'if', 'then', 'else', 'propertyNames']);
const LISTS: ReadonlySet<string> = new Set(['anyOf', 'allOf', 'oneOf', 'prefixItems']);
const NAMED: ReadonlySet<string> = new Set(['properties', '$defs', 'definitions', 'patternProperties', 'dependentSchemas']);
const DEFS = '#/$defs/';

/**
 * A schema for a target that reads references to `#/$defs/` alone, and no schema but objects: what is referred to elsewhere in it moves
 * there under a name of its own, `true` becomes the schema that everything fits, and a list of items `prefixItems`. The very schema where
 * nothing is to change, or where what is referred to is too much.
 * `{ $ref: '#/definitions/Id', definitions: { Id } }` is `{ $ref: '#/$defs/Id', $defs: { Id } }`.
 */
export function withPlainSchema(schema: Fields): Fields {
  return new Moving(schema).moved();
}

class Moving {
  readonly #root: Fields;
  /** What is referred to, and its new name. */
  readonly #names = new Map<Fields, string>();
  readonly #taken: Set<string>;
  /** By the last word of a reference: the highest number behind it so far. */
  readonly #numbers = new Map<string, number>();
  /** All that is referred to, in the order in which it was found. */
  readonly #waiting: Fields[] = [];
  #chars = 0;

  constructor(root: Fields) {
    this.#root = root;
    this.#taken = new Set(isFields(root['$defs']) ? Object.keys(root['$defs']) : []);
  }

  moved(): Fields {
    const written = this.#schema(this.#root);
    if (this.#names.size === 0) return written;
    const defs: (readonly [string, unknown])[] = Object.entries(isFields(written['$defs']) ? written['$defs'] : {});
    // The list grows while it is gone through.
    for (const next of this.#waiting) {
      this.#chars += JSON.stringify(next).length;
      if (this.#chars > MOVED_CHARS_MAX || this.#waiting.length > MOVED_MAX) return this.#root;
      defs.push([this.#names.get(next) ?? '', this.#schema(next)]);
    }
    const { definitions: _, ...rest } = written;
    return { ...rest, $defs: Object.fromEntries(defs) };
  }

  #schema(node: Fields): Fields {
    let written: Record<string, unknown> | undefined;
    for (const [name, value] of Object.entries(node)) {
      const [as, plain] = this.#field(name, value);
      if (as === name && plain === value) continue;
      written ??= { ...node };
      if (as !== name) delete written[name];
      written[as] = plain;
    }
    return written ?? node;
  }

  #field(name: string, value: unknown): readonly [string, unknown] {
    if (name === '$ref') return [name, this.#reference(value)];
    if (name === 'items' && Array.isArray(value)) return ['prefixItems', this.#list(value)];
    if (ONE.has(name)) return [name, isFields(value) ? this.#schema(value) : name === 'items' && value === true ? {} : value];
    if (LISTS.has(name) && Array.isArray(value)) return [name, this.#list(value)];
    if (NAMED.has(name) && isFields(value)) return [name, this.#map(value)];
    return [name, value];
  }

  #list(list: readonly unknown[]): readonly unknown[] {
    const plain = list.map((entry) => this.#any(entry));
    return plain.every((entry, at) => entry === list[at]) ? list : plain;
  }

  #map(map: Fields): Fields {
    const plain = Object.entries(map).map(([name, entry]): readonly [string, unknown] => [name, this.#any(entry)]);
    return plain.every(([name, entry]) => entry === map[name]) ? map : Object.fromEntries(plain);
  }

  #any(entry: unknown): unknown {
    if (isFields(entry)) return this.#schema(entry);
    if (entry === true) return {};
    return entry === false ? { not: {} } : entry;
  }

  #reference(value: unknown): unknown {
    if (typeof value !== 'string' || !value.startsWith('#/') || value.startsWith(DEFS)) return value;
    const target = this.#find(value);
    if (target === undefined) return value;
    const known = this.#names.get(target);
    if (known !== undefined) return DEFS + known;
    if (this.#waiting.length > MOVED_MAX) return value;
    const own = this.#nameFor(value);
    this.#names.set(target, own);
    this.#waiting.push(target);
    return DEFS + own;
  }

  #find(pointer: string): Fields | undefined {
    let at: unknown = this.#root;
    for (const part of partsOf(pointer)) {
      if (typeof at !== 'object' || at === null || !Object.hasOwn(at, part)) return undefined;
      at = (at as Fields)[part];
    }
    return isFields(at) ? at : undefined;
  }

  /** Its last word, and a number where that is taken. */
  #nameFor(pointer: string): string {
    const base = (partsOf(pointer).at(-1) ?? '').replace(/[^\w.-]/g, '_') || '_';
    let own = base;
    while (this.#taken.has(own)) {
      const number = (this.#numbers.get(base) ?? 1) + 1;
      this.#numbers.set(base, number);
      own = `${base}_${number}`;
    }
    this.#taken.add(own);
    return own;
  }
}

/** The words of a JSON pointer in a fragment. */
function partsOf(pointer: string): readonly string[] {
  return pointer.slice(2).split('/').map((part) => decoded(part).replaceAll('~1', '/').replaceAll('~0', '~'));
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
