import type { Model } from '../catalog/index.ts';
import { leaveOut, type Draft } from './draft.ts';
import { fieldsOf } from './json.ts';
import type { RequestQuirks, ThinkingSwitch } from './quirks.ts';

/** How the dialects say whether a model shall think, and how much. */
const FIELDS = ['thinking', 'enable_thinking', 'thinking_budget', 'reasoning_effort'] as const;
/** The three that everybody reads who reads any, for all words that there are. */
const EFFORTS: ReadonlyMap<unknown, string> = new Map([['minimal', 'low'], ['low', 'low'], ['medium', 'medium'], ['high', 'high'], ['xhigh', 'high'], ['max', 'high']]);

/** The three of a model that cannot but think, which refuses all others. */
const LEVELS: ReadonlyMap<unknown, string> = new Map([['none', 'low'], ['minimal', 'low'], ['low', 'low'], ['medium', 'high'], ['high', 'high'], ['xhigh', 'max'], ['max', 'max']]);

/** A model that cannot but think, for the catalogue drops its switch, and that knows three levels of it instead. */
function hasLevels(model: Model, { thinkingSwitch: name, threeLevels }: RequestQuirks): boolean {
  return threeLevels === true && name !== undefined && model.drop.includes(name);
}

/**
 * Says a client's wish about thinking in the target's words, where the request was written for a model of another dialect. Not to think is
 * said by the target's own switch; a budget or an effort goes where the target has the same measure. To think need not be said: models that
 * can do. What is left of the other dialect's words stays here, for some refuse what they do not know.
 * Source: facts of the providers, section 6. `enable_thinking: false` on its way from Qwen to Kimi is `thinking: { type: 'disabled' }`.
 */
export function carryThinking(draft: Draft, model: Model, quirks: RequestQuirks): void {
  const { thinkingSwitch, thinkingAmount } = quirks;
  const { thinking, enable_thinking: enabled, thinking_budget: budget, reasoning_effort: effort } = draft;
  for (const name of FIELDS) leaveOut(draft, name);
  if (!model.capabilities.includes('reasoning')) return;
  const type = fieldsOf(thinking)['type'];
  const isOff = type === 'disabled' || enabled === false || effort === 'none';
  if (hasLevels(model, quirks)) {
    draft['reasoning_effort'] = LEVELS.get(isOff ? 'none' : effort);
    return;
  }
  if (isOff) {
    if (thinkingSwitch !== undefined) draft[thinkingSwitch] = OFF[thinkingSwitch];
    return;
  }
  if (thinkingAmount === 'reasoning_effort') draft[thinkingAmount] = EFFORTS.get(effort);
  else if (thinkingAmount !== undefined) draft[thinkingAmount] = wholeOf(budget) ?? wholeOf(fieldsOf(thinking)['budget_tokens']);
}

/**
 * Says what the client says about thinking to a model of the target's own where the target refuses its word for it; all else passes.
 *
 * OpenAI's own word for not to think, which none of the others reads, is the target's switch, unless the client set that itself. A model
 * whose switch the catalogue drops cannot but think: it gets the least effort where there are levels, for without a word it takes the most.
 * `reasoning_effort: 'none'` to DeepSeek is `thinking: { type: 'disabled' }`, to GLM-5.3 `reasoning_effort: 'low'`.
 */
export function sayThinking(draft: Draft, model: Model, quirks: RequestQuirks): void {
  const { thinkingSwitch: name, thinkingOn } = quirks;
  const thinking = fieldsOf(draft['thinking']);
  if (thinkingOn !== undefined && thinking['type'] === 'enabled') draft['thinking'] = { ...thinking, type: thinkingOn };
  const { reasoning_effort: effort } = draft;
  if (hasLevels(model, quirks)) {
    const level = LEVELS.get(effort ?? (thinking['type'] === 'disabled' ? 'none' : undefined));
    if (level !== undefined) draft['reasoning_effort'] = level;
    return;
  }
  if (effort !== 'none') return;
  draft['reasoning_effort'] = undefined;
  if (name !== undefined && draft[name] === undefined && model.capabilities.includes('reasoning')) draft[name] = OFF[name];
}

function wholeOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : undefined;
}

const OFF: Readonly<Record<ThinkingSwitch, unknown>> = { thinking: { type: 'disabled' }, enable_thinking: false, reasoning_effort: 'low' };

/** The client wants JSON and says nothing about thinking: where only one of them can be had, JSON is what it asked for. */
export function preferJson(draft: Draft, model: Model, { thinkingSwitch: name, jsonObject }: RequestQuirks): void {
  if (name === undefined || jsonObject !== 'thinking-off' || draft[name] !== undefined || !model.capabilities.includes('reasoning')) return;
  if (fieldsOf(draft['response_format'])['type'] === 'json_object') draft[name] = OFF[name];
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
