import { Fault, type AttemptTrace } from '../faults.ts';
import type { Plan } from '../routing/index.ts';
import type { Interruption } from '../upstream/index.ts';
import type { Failure } from '../wire/index.ts';
import { redacted } from './redact.ts';
import { STOPPING, stopping } from './send.ts';

/** Longest part of a provider's message that a client is told. */
const MESSAGE_MAX = 500;

/**
 * What the client is told when asking providers came to nothing.
 *
 * Only a failure that is the client's own (`refused`) is told as such; everything else is a 503 with what was tried. In Standard
 * mode an operator's key trouble is never the client's 401 or 402: routing does not refuse with it, so it arrives here as 503.
 * @param secret the credential that was used, cut out of the provider's message should it, a part or another form of it stand there
 */
export function refusalOf(asked: { readonly failure: Failure; readonly refused: boolean; readonly provider: string; readonly traces: readonly AttemptTrace[] }, model: string, plan: Plan, secret: string): Fault {
  const { failure, refused, provider, traces } = asked;
  const message = () => cleaned(failure.message, secret);
  if (refused) {
    switch (failure.class) {
      case 'client':
        return new Fault('invalid_request', { fill: { detail: `${provider} refused the request: ${message()}` }, attempts: traces });
      case 'too_long':
        return new Fault('context_length_exceeded', { fill: { detail: `The prompt is too long for ${model}: ${message()}` }, param: 'messages', attempts: traces });
      case 'policy':
        return new Fault('content_filter', { fill: { provider }, param: 'messages', attempts: traces });
      case 'key':
        return new Fault('invalid_provider_key', { fill: { provider }, shouldRetry: false, attempts: traces });
      case 'money':
        return new Fault('provider_balance_exhausted', { fill: { provider }, attempts: traces });
      default:
        return unavailable(model, traces, plan);
    }
  }
  return unavailable(model, traces, plan);
}

/**
 * Why a call was broken off where that was not its client's doing: the daemon stops, or the connection was refused after the call
 * had begun, with the fault that is the signal's reason. Nobody pays for such a call. Undefined where the client left, or nothing happened.
 */
export function breakOf(signal: Interruption, attempts: readonly AttemptTrace[]): Fault | undefined {
  if (signal.reason === STOPPING) return stopping({ attempts, retryAfterS: 2 });
  return signal.reason instanceof Fault ? signal.reason : undefined;
}

/** 503: every candidate failed, or none could be asked. Tells what was tried and what was passed over, and why. */
export function unavailable(model: string, traces: readonly AttemptTrace[], plan: Plan): Fault {
  const tried = traces.map(({ provider, model: id, status, class: kind }) => `${id} at ${provider} (${status === 0 ? 'no answer' : status}, ${kind})`);
  const skipped = plan.skipped.map(({ model: id, provider, reason }) => `${id} at ${provider}: ${reason}`);
  const said = [tried.length === 0 ? '' : `tried ${tried.join(', ')}`, skipped.length === 0 ? '' : `passed over ${skipped.join('; ')}`].filter((part) => part !== '');
  return new Fault('providers_unavailable', {
    fill: { model, tried: `${said.join('; ')}.` },
    attempts: traces,
    retryAfterS: 30,
    shouldRetry: false,
  });
}

/** A provider's own words, without control characters, without the key, of bounded length. */
function cleaned(message: string, secret: string): string {
  return redacted(message.replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' '), secret, MESSAGE_MAX);
}
