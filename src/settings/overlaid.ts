import { hideKeys, mask } from './refusal.ts';
import { isMapping } from './source.ts';
import type { Source } from './source.ts';
import { asYaml } from './table.ts';
import type { SettingOrigin } from './types.ts';

/**
 * What a file lays over the built-in catalogue, for `config show`: a row for each field of a provider or model, one for each list of
 * equivalents. Provider keys have rows of their own. `force` is shown as it stands in the file, before its variables are filled in,
 * for it may bear anything; what looks like a key is hidden wherever it stands, and the text of a field whose name says that it is one.
 */
export function overlaidBy(source: Source | undefined): readonly SettingOrigin[] {
  if (source === undefined) return [];
  const row = (path: readonly string[], value: unknown): SettingOrigin => {
    const plain = hidden(path.at(-1) === 'force' ? source.written(path) : value);
    return { path: path.join('.'), value: asYaml(plain), plain, origin: source.place(path) };
  };
  const fieldsIn = (section: string) => entriesOf(source.data[section]).flatMap(([id, fields]) =>
    entriesOf(fields).filter(([field]) => field !== 'api_key').map(([field, value]) => row([section, id, field], value)));
  const lists = entriesOf(source.data['equivalents']).map(([id, list]) => row(['equivalents', id], list));
  return [...fieldsIn('providers'), ...fieldsIn('models'), ...lists];
}

/** What is written in a mapping; nothing is written where a name has no value. */
function entriesOf(value: unknown): readonly (readonly [string, unknown])[] {
  return isMapping(value) ? Object.entries(value).filter(([, inner]) => inner !== null) : [];
}

/** Names of fields whose text is a secret, whatever it looks like; a variable in its place is none. */
const SECRET_NAME = /(?:key|token|secret|password|authorization|credentials?)$/i;
const VARIABLE = /^\$\{\w+\}$/;

function hidden(value: unknown, name = ''): unknown {
  if (typeof value === 'string') return SECRET_NAME.test(name) && !VARIABLE.test(value) ? mask(value) : hideKeys(value);
  if (Array.isArray(value)) return value.map((inner: unknown) => hidden(inner, name));
  if (!isMapping(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([inner, field]) => [hideKeys(inner), hidden(field, inner)]));
}
