import { Fault } from '../faults.ts';
import type { Settings } from '../settings/index.ts';

/** A JSON Schema of draft 2020-12, the dialect of OpenAPI 3.1. */
export type Schema = Readonly<Record<string, unknown>>;

/** What a daemon with these settings takes: a least amount, the names of its providers. */
export type Rules = Pick<Settings, 'billing' | 'catalog'>;

/** One field of a body: how it is read, and how it is described. Both say the same; a test holds them together. */
export interface Field<T> {
  readonly about: string;
  readonly optional: boolean;
  readonly schema: (rules: Rules) => Schema;
  /** @param value undefined where the field is not there, or null */
  readonly read: (value: unknown, name: string) => T;
}

/** A JSON body of named fields. Fields that it does not name are passed over. */
export interface Form<T> {
  /** @throws Fault `invalid_request` (400), its `param` the first field at fault. */
  readonly read: (body: unknown) => T;
  readonly schema: (rules: Rules) => Schema;
}

type Read<Fields> = { readonly [Name in keyof Fields]: Fields[Name] extends Field<infer T> ? T : never };

/**
 * A form of fields, in the order in which they are read.
 * @param example stands in the refusal of what is no object: `{"name": "laptop"}`
 */
export function form<Fields extends Readonly<Record<string, Field<unknown>>>>(example: string, fields: Fields): Form<Read<Fields>> {
  const names: readonly (keyof Fields & string)[] = Object.keys(fields);
  return {
    read: (body) => {
      if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new Fault('invalid_request', { fill: { detail: `Send a JSON object such as ${example}.` } });
      const given = new Map<string, unknown>(Object.entries(body));
      const values: Record<string, unknown> = {};
      for (const name of names) values[name] = fields[name]?.read(given.get(name) ?? undefined, name);
      return values as Read<Fields>;
    },
    schema: (rules) => ({
      type: 'object',
      required: names.filter((name) => fields[name]?.optional === false),
      properties: Object.fromEntries(names.map((name) => [name, describe(fields[name], rules)])),
    }),
  };
}

/** A text that must be there. `schema` says what more it must be; who checks that is named where the form is used. */
export function text(about: string, schema: Schema | ((rules: Rules) => Schema) = {}): Field<string> {
  return {
    about,
    optional: false,
    schema: (rules) => ({ type: 'string', ...(typeof schema === 'function' ? schema(rules) : schema) }),
    read: (value, name) => {
      if (typeof value !== 'string') throw badField(name, `The field ${name} is missing or no text.`);
      return value;
    },
  };
}

/** True or false. */
export function flag(about: string): Field<boolean> {
  return {
    about,
    optional: false,
    schema: () => ({ type: 'boolean' }),
    read: (value, name) => {
      if (typeof value !== 'boolean') throw badField(name, `The field ${name} is true or false.`);
      return value;
    },
  };
}

/** A field that may be left out or null. */
export function optional<T>(field: Field<T>): Field<T | undefined> {
  return {
    ...field,
    optional: true,
    schema: (rules) => ({ anyOf: [field.schema(rules), { type: 'null' }] }),
    read: (value, name) => (value === undefined ? undefined : field.read(value, name)),
  };
}

/** The refusal of one field. */
export function badField(param: string, detail: string): Fault {
  return new Fault('invalid_request', { fill: { detail }, param });
}

function describe(field: Field<unknown> | undefined, rules: Rules): Schema {
  return field === undefined ? {} : { ...field.schema(rules), description: field.about };
}
