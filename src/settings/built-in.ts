import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CatalogError, mergeCatalogData, parseCatalog } from '../catalog/index.ts';
import type { Catalog } from '../catalog/index.ts';
import { embeddedText, isEmbedded } from '../embedded/index.ts';
import { SettingsError } from './refusal.ts';
import { isMapping, readSource } from './source.ts';
import type { Mapping, Path, Source } from './source.ts';

/** What the build made of the built-in texts lies beside the program. */
const MADE = 'catalog.json';

/** Catalogue data that is added while the sandbox is on. */
export interface AddedCatalog {
  readonly models: unknown;
  readonly providers: unknown;
  readonly equivalents?: unknown;
}

/**
 * The built-in catalogue, the added one and the operator's, laid over each other in this order.
 * @throws SettingsError at the operator's line that is at fault.
 */
export function readCatalog(source: Source | undefined, added: AddedCatalog | undefined): Catalog {
  const { models, providers: ours } = builtIn();
  const base = { models: models['models'], providers: ours['providers'], equivalents: models['equivalents'] };
  const rehearsed = added === undefined ? base : mergeCatalogData(base, { equivalents: undefined, ...added });
  if (source === undefined) return parseCatalog(rehearsed);
  const { models: own, providers, equivalents } = source.data;
  try {
    return parseCatalog(mergeCatalogData(rehearsed, { models: own, providers: withoutKeys(providers), equivalents }));
  } catch (refusal) {
    if (refusal instanceof CatalogError) throw new SettingsError(`${blamed(refusal, source)}: ${refusal.message}`);
    throw refusal;
  }
}

/** The operator's keys are settings, not catalogue: they are never part of it. */
function withoutKeys(providers: unknown): unknown {
  if (!isMapping(providers)) return providers;
  return Object.fromEntries(Object.entries(providers).map(([id, fields]) => {
    if (!isMapping(fields)) return [id, fields];
    return [id, Object.fromEntries(Object.entries(fields).filter(([field]) => field !== 'api_key'))];
  }));
}

/** The fault may show in a built-in list, such as one of equivalents, and yet come from a model or price of the operator's. */
function blamed({ path, suspects, nameIsWrong }: CatalogError, source: Source): string {
  const written = (candidate: Path) => source.depth(candidate) >= Math.min(2, candidate.length);
  if (written(path)) return source.place(path, nameIsWrong);
  return source.place(suspects.find(written) ?? path);
}

/** The two built-in files. Source folders and bundles lie at different depths below the package's root; the single executable carries its data. */
function builtIn(): { readonly models: Mapping; readonly providers: Mapping } {
  if (isEmbedded()) return dataOf((name) => embeddedText(name) ?? '', embeddedText(MADE));
  const start = dirname(fileURLToPath(import.meta.url));
  let folder = start;
  for (let up = 0; up <= 4; up++) {
    const root = folder;
    if (existsSync(join(root, 'config', 'models.yaml'))) {
      const made = join(start, MADE);
      return dataOf((name) => readFileSync(join(root, name), 'utf8'), existsSync(made) ? readFileSync(made, 'utf8') : undefined);
    }
    folder = dirname(folder);
  }
  throw new SettingsError('config/models.yaml is missing from the installation. Install findtoken again.');
}

/**
 * The data of the built-in texts: as the build has read them, where a text is still the same. To read them takes 90 ms and leaves 10 MiB,
 * which a daemon's start would wait for and keep.
 */
function dataOf(textOf: (name: string) => string, made: string | undefined): { readonly models: Mapping; readonly providers: Mapping } {
  const all: unknown = made === undefined ? undefined : JSON.parse(made);
  const read = (name: string): Mapping => {
    const text = textOf(`config/${name}`);
    const one = isMapping(all) ? all[name] : undefined;
    return isMapping(one) && one['text'] === text && isMapping(one['data']) ? one['data'] : readSource(join('config', name), text, {}).data;
  };
  return { models: read('models.yaml'), providers: read('providers.yaml') };
}
