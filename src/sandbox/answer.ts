import type { Attempt, Interruption, Reply, StreamRead, Upstream } from '../upstream/index.ts';
import { compose } from './compose.ts';
import type { Choice, Composed } from './compose.ts';
import { behaviourOf, SANDBOX_CATALOG } from './models.ts';
import type { Behaviour } from './models.ts';
import { refusalOf } from './refusals.ts';
import { readAsked } from './request.ts';
import { ScriptedStream } from './stream.ts';
import type { Step, Wait } from './stream.ts';

export interface SandboxOptions {
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Resolves after `ms`; rejects or resolves at once when the signal aborts. */
  readonly sleep: (ms: number, signal: Interruption) => Promise<void>;
}

const JSON_HEADERS = { 'content-type': 'application/json' } as const;
const EVENT_HEADERS = { 'content-type': 'text/event-stream' } as const;

/**
 * A provider that lives inside the daemon and stands in for any other. It opens no port and asks nobody; the same request always
 * gets the same answer, but for its time stamp. Models of `SANDBOX_CATALOG` fail in the way their names say, every other name answers.
 */
export function createSandbox(options: SandboxOptions): Upstream {
  let isClosed = false;
  const wait: Wait = async (ms, signal) => {
    if (ms <= 0) return !signal.aborted;
    try {
      await options.sleep(ms, signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    return !signal.aborted;
  };
  return {
    send: async (attempt, signal) => {
      if (signal.aborted) return { kind: 'failed', failure: 'aborted', sent: false };
      if (isClosed) return { kind: 'failed', failure: 'connect', sent: false };
      return answer(attempt, signal, wait, options.now);
    },
    listModels: async () => {
      if (isClosed) return { kind: 'failed', failure: 'connect', sent: false };
      const data = Object.keys(SANDBOX_CATALOG.models).map((id) => ({ id, object: 'model', created: 0, owned_by: 'sandbox' }));
      return { kind: 'whole', status: 200, headers: JSON_HEADERS, text: JSON.stringify({ object: 'list', data }) };
    },
    close: async () => { isClosed = true; },
  };
}

async function answer(attempt: Attempt, signal: Interruption, wait: Wait, now: () => number): Promise<Reply> {
  const asked = readAsked(Buffer.from(attempt.body).toString('utf8'));
  const behaviour = behaviourOf(attempt.model, asked?.model ?? '');
  const refusal = refusalOf(asked === undefined ? 400 : behaviour.refusal);
  if (refusal !== undefined || asked === undefined) {
    return { kind: 'whole', status: refusal?.status ?? 400, headers: { ...JSON_HEADERS, ...refusal?.headers }, text: JSON.stringify(refusal?.body) };
  }
  if (behaviour.isSilent) return givenUp(attempt.timeoutMs, signal, wait, 'timeout');
  const composed = compose(asked, behaviour, attempt.model);
  const head = { id: `chatcmpl-sandbox-${attempt.requestId}`, created: Math.floor(now() / 1_000), model: asked.model };
  if (asked.stream) {
    const script = { ...scriptOf(composed, behaviour, head), timeoutMs: attempt.timeoutMs, idleMs: attempt.idleMs };
    return { kind: 'stream', status: 200, headers: EVENT_HEADERS, stream: new ScriptedStream(script, wait, signal) };
  }
  if (behaviour.breaks) return givenUp(behaviour.firstTokenMs, signal, wait, 'reset');
  if (behaviour.firstTokenMs > attempt.timeoutMs) return givenUp(attempt.timeoutMs, signal, wait, 'timeout');
  if (!await wait(behaviour.firstTokenMs, signal)) return { kind: 'failed', failure: 'aborted', sent: true };
  return { kind: 'whole', status: 200, headers: JSON_HEADERS, text: JSON.stringify(wholeBody(composed, head)) };
}

async function givenUp(afterMs: number, signal: Interruption, wait: Wait, failure: 'timeout' | 'reset'): Promise<Reply> {
  return { kind: 'failed', failure: await wait(afterMs, signal) ? failure : 'aborted', sent: true };
}

type Head = Readonly<Record<string, unknown>>;

function wholeBody(composed: Composed, head: Head): unknown {
  const choices = composed.choices.map((choice, index) => ({ index, message: wholeMessage(choice, index), logprobs: null, finish_reason: choice.finish }));
  return { ...head, object: 'chat.completion', choices, ...(composed.usage === undefined ? {} : { usage: composed.usage }) };
}

function wholeMessage(choice: Choice, index: number): unknown {
  const { call } = choice;
  return {
    role: 'assistant',
    content: call === undefined ? choice.content.join('') : null,
    ...(choice.reasoning.length === 0 ? {} : { reasoning_content: choice.reasoning.join('') }),
    ...(call === undefined ? {} : { tool_calls: [{ id: callId(index), type: 'function', function: { name: call.name, arguments: call.arguments.join('') } }] }),
  };
}

function callId(index: number): string {
  return `call_sandbox_${index}`;
}

/** The deltas of one choice, in order. */
function deltasOf(choice: Choice, index: number): readonly unknown[] {
  const { call } = choice;
  const callDeltas = call === undefined ? [] : [
    { tool_calls: [{ index: 0, id: callId(index), type: 'function', function: { name: call.name, arguments: '' } }] },
    ...call.arguments.map((piece) => ({ tool_calls: [{ index: 0, function: { arguments: piece } }] })),
  ];
  return [...choice.reasoning.map((piece) => ({ reasoning_content: piece })), ...choice.content.map((content) => ({ content })), ...callDeltas];
}

/** A stream a token a step: all choices advance together; the last step brings the ends, the usage and `[DONE]`. */
function scriptOf(composed: Composed, behaviour: Behaviour, head: Head): { readonly steps: readonly Step[]; readonly end: StreamRead } {
  const event = (chunk: unknown) => ({ data: JSON.stringify(chunk), name: '' });
  const chunk = (index: number, delta: unknown, finish: string | null) =>
    event({ ...head, object: 'chat.completion.chunk', choices: [{ index, delta, finish_reason: finish }] });
  const deltas = composed.choices.map(deltasOf);
  const longest = Math.max(...deltas.map((list) => list.length));
  const opening = composed.choices.map((_, index) => chunk(index, { role: 'assistant', content: '' }, null));
  const steps: Step[] = Array.from({ length: longest }, (_, at) => ({
    afterMs: at === 0 ? behaviour.firstTokenMs : behaviour.tokenMs,
    events: [...(at === 0 ? opening : []), ...deltas.flatMap((list, index) => (at < list.length ? [chunk(index, list[at], null)] : []))],
  }));
  if (behaviour.breaks) return { steps: steps.slice(0, Math.ceil(steps.length / 2)), end: { kind: 'failed', failure: 'reset' } };
  const usage = composed.usage === undefined ? [] : [event({ ...head, object: 'chat.completion.chunk', choices: [], usage: composed.usage })];
  const last = [...composed.choices.map((choice, index) => chunk(index, {}, choice.finish)), ...usage, { data: '[DONE]', name: '' }];
  steps.push({ afterMs: longest === 0 ? behaviour.firstTokenMs : behaviour.tokenMs, events: longest === 0 ? [...opening, ...last] : last });
  return { steps, end: { kind: 'end' } };
}
