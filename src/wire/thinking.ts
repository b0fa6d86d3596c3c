import type { Model } from '../catalog/index.ts';
import { fieldsOf } from './json.ts';
import type { RequestQuirks } from './quirks.ts';

type Draft = Record<string, unknown>;

/** The client wants JSON and says nothing about thinking: where only one of them can be had, JSON is what it asked for. */
export function preferJson(draft: Draft, model: Model, { thinkingSwitch: name, jsonObject }: RequestQuirks): void {
  if (name === undefined || jsonObject !== 'thinking-off' || draft[name] !== undefined || !model.capabilities.includes('reasoning')) return;
  if (fieldsOf(draft['response_format'])['type'] === 'json_object') draft[name] = name === 'thinking' ? { type: 'disabled' } : false;
}

/**
 * Models that can think do, unless the catalogue or the client tells them not to, in the words of their own dialect: others it does not
 * read. One that is not known for it does where it is told to.
 */
export function isLeftThinking(draft: Draft, model: Model, { thinkingSwitch: name }: RequestQuirks): boolean {
  const can = model.capabilities.includes('reasoning');
  if (name === undefined) return can;
  const sent = Object.hasOwn(model.force, name) ? model.force[name] : model.drop.includes(name) ? undefined : draft[name];
  if (name === 'thinking') return can ? fieldsOf(sent)['type'] !== 'disabled' : fieldsOf(sent)['type'] === 'enabled';
  return can ? sent !== false : sent === true;
}
