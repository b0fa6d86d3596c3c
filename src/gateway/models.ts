import { listView, modelView } from '../accounts/index.ts';
import { findModel, nearestModel, type Model } from '../catalog/index.ts';
import { Fault } from '../faults.ts';
import type { KeyOwner } from '../ledger/index.ts';
import { splitModel } from '../wire/index.ts';
import { decoded, ok } from './user.ts';
import type { Answer, Call, Running } from './types.ts';

/** `GET /v1/models`: the whole catalogue, from memory, at the prices of now. */
export async function showModels(running: Running, _call: Call, owner: KeyOwner): Promise<Answer> {
  const shown = await viewer(running);
  return ok(owner, listView([...running.settings.catalog.models.values()].map(shown), undefined));
}

/** Where a model's own path begins. */
export const MODELS_BASE = '/v1/models/';

/** `GET /v1/models/{id}`, by each name that a chat call takes: a model with a routing behind it is that model. */
export async function showModel(running: Running, call: Call, owner: KeyOwner): Promise<Answer> {
  const { catalog } = running.settings;
  const id = decoded(call.path.slice(MODELS_BASE.length));
  const model = findModel(catalog, id) ?? findModel(catalog, splitModel(id).model);
  const nearest = nearestModel(catalog, splitModel(id).model);
  const hint = nearest === undefined ? '' : ` Did you mean ${JSON.stringify(nearest)}?`;
  if (model === undefined) throw new Fault('model_not_found', { fill: { model: JSON.stringify(id.slice(0, 100)), hint }, param: 'model' });
  return ok(owner, (await viewer(running))(model));
}

/** A model that the sandbox answers for bears the mark, whether it is one of the sandbox's own or another provider's. */
async function viewer(running: Running): Promise<(model: Model) => object> {
  const { catalog } = running.settings;
  const operators = await running.credentials.operatorProviders();
  const nowMs = running.clock.nowMs();
  return (model) => {
    const byTheSandbox = running.sandbox !== undefined && !operators.has(model.provider);
    const view = modelView(model, catalog, nowMs);
    return byTheSandbox ? { ...view, sandbox: true } : view;
  };
}
