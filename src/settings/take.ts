import { fill } from './environment.ts';
import type { Environment } from './environment.ts';
import type { Surroundings } from './readers.ts';
import { mask, quoted, SettingsError } from './refusal.ts';
import { isMapping } from './source.ts';
import type { Source } from './source.ts';
import { asYaml, TABLE } from './table.ts';
import type { Key, Row, Values } from './table.ts';
import type { SettingOrigin } from './types.ts';

/** Reads one key of the table. */
export type Take = <K extends Key>(key: K) => Values[K];

/** Key → what the command line says, and the option that said it. */
export type Overrides = ReadonlyMap<Key, { readonly option: string; readonly value: unknown }>;

export interface Sources {
  readonly source: Source | undefined;
  readonly env: Environment;
  readonly around: Surroundings;
  readonly overrides: Overrides;
  /** Filled as keys are read. */
  readonly origins: SettingOrigin[];
}

interface Found {
  readonly value: unknown;
  readonly origin: string;
  /** The value as a refusal may quote it: as the file has it, never what a variable holds. */
  readonly quote: string;
}

/** Binds a reader of keys to its sources: the command line wins over the file, the file over the default. */
export function taker(sources: Sources): Take {
  return <K extends Key>(key: K): Values[K] => {
    const row: Row<Values[K]> = TABLE[key];
    const { value: written, origin, quote } = find(key, row, sources);
    const value = row.reader.read(written, sources.around);
    if (value === undefined) {
      const found = row.secret ? '' : `, not ${quote}`;
      throw new SettingsError(`${origin}: ${key}: expected ${row.reader.expects}${found}. Write for example ${key.split('.').at(-1)}: ${row.example}`, sources.overrides.get(key)?.option);
    }
    // A file's path is shown as it was understood, all else as it was written.
    const shown = key === 'database.path' || key === 'database.anchors' ? value : written;
    const masked = row.secret ? mask(String(value)) : undefined;
    sources.origins.push({ path: key, value: masked ?? asYaml(shown), plain: masked ?? typed(shown, value), origin });
    return value;
  };
}

/** What a variable gave is a text; where it was read as a number or a flag, it is shown as one. */
function typed(shown: unknown, value: unknown): unknown {
  const isOne = typeof value === 'boolean' || (typeof value === 'number' && String(value) === String(shown).trim());
  return isOne ? value : shown;
}

function find(key: Key, row: Row<unknown>, { source, env, overrides }: Sources): Found {
  const override = overrides.get(key);
  if (override !== undefined) return { value: override.value, origin: override.option, quote: quoted(override.value) };
  const path = key.split('.');
  const written = path.reduce<unknown>((data, name) => (isMapping(data) ? data[name] : undefined), source?.data);
  if (source !== undefined && written !== undefined && written !== null) {
    return { value: written, origin: source.place(path), quote: quoted(source.written(path)) };
  }
  if (typeof row.fallback !== 'string') return { value: row.fallback, origin: 'default', quote: quoted(row.fallback) };
  const filled = fill(row.fallback, env);
  if (filled.wrong !== undefined) throw new SettingsError(`${key}: ${filled.wrong}`);
  const origin = filled.from.length === 0 ? 'default' : `environment ${filled.from.join(' ')}`;
  return { value: filled.value, origin, quote: 'what it holds' };
}
