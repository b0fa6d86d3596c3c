import { hideKeys } from './refusal.ts';
import { isMapping } from './source.ts';
import type { Source } from './source.ts';
import { asYaml } from './table.ts';
import type { SettingOrigin } from './types.ts';

/**
 * What a file lays over the built-in catalogue, for `config show`: a row for each field of a provider or model, one for each list of
 * equivalents. Provider keys have rows of their own. `force` is shown as it stands in the file, before its variables are filled in,
 * for it may bear anything; and what looks like a key is hidden wherever it stands.
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

function hidden(value: unknown): unknown {
  if (typeof value === 'string') return hideKeys(value);
  if (Array.isArray(value)) return value.map(hidden);
  if (!isMapping(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [hideKeys(name), hidden(inner)]));
}
