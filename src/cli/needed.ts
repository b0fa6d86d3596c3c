import type { Catalog, Model, Provider } from '../catalog/index.ts';
import { Fault } from '../faults.ts';

/** A model of the catalogue. @throws Fault not_found (exit 3) with the name that was probably meant */
export async function neededModel(catalog: Catalog, id: string): Promise<Model> {
  const { findModel, nearestModel } = await import('../catalog/index.ts');
  const model = findModel(catalog, id);
  if (model !== undefined) return model;
  throw missing(`the model ${JSON.stringify(id)} does not exist`, nearestModel(catalog, id), '`findtoken models` lists all.');
}

/** A provider of the catalogue. @throws Fault not_found (exit 3) with the name that was probably meant */
export async function neededProvider({ providers }: Pick<Catalog, 'providers'>, id: string): Promise<Provider> {
  const provider = providers.get(id);
  if (provider !== undefined) return provider;
  const { nearestName } = await import('../catalog/index.ts');
  throw missing(`there is no provider ${JSON.stringify(id)}`, nearestName(providers.keys(), id), `Known are ${[...providers.keys()].join(', ')}.`);
}

function missing(what: string, nearest: string | undefined, known: string): Fault {
  return new Fault('not_found', { fill: { detail: `${what}${nearest === undefined ? '.' : `; did you mean ${nearest}?`} ${known}` } });
}
