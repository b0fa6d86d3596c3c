import { nearestName } from '../catalog/index.ts';
import { Fault } from '../faults.ts';
import type { KeyOwner } from '../ledger/index.ts';
import { dropByokKey, registerKey, showByokKeys } from './byok.ts';
import { serveChatOnce } from './idempotency.ts';
import { paySandboxCheckout, showPaid, showSandboxCheckout, showUnpaid } from './checkout-pages.ts';
import { MODELS_BASE, showModel, showModels } from './models.ts';
import { receiveEvent, showRecharges, startCredits } from './recharges.ts';
import { dropKey, makeKey, showBalance, showBillingLogs, showKeys } from './user.ts';
import { showHealth, showMetrics, showReadiness, showWelcome } from './open.ts';
import type { Operation } from './openapi/operation.ts';
import { OPERATIONS } from './openapi/operations.ts';
import { showDescription } from './openapi/serve.ts';
import { CHAT_PATH, MESSAGES_PATH, RESPONSES_PATH } from './send.ts';
import { activate, showActivation, signUp } from './sign-up.ts';
import { countTokens, serveMessages, serveResponses } from './translated.ts';
import type { Answer, Call, Handler, Running, Streamed } from './types.ts';

type Method = 'GET' | 'POST' | 'DELETE';

type Route =
  | { readonly method: Method; readonly path: string; readonly needsKey: true; /** For accounts that are frozen too: how they find out, and pay. */ readonly frozenToo?: true; readonly serve: Handler; readonly tells: Operation }
  | { readonly method: Method; readonly path: string; readonly needsKey: false; readonly serve: (running: Running, call: Call) => Promise<Answer>; readonly tells: Operation };

/** Every path there is. `{id}` stands for one part of the path, a model's for all that follows: its name may hold slashes, which not all clients escape. HEAD is served wherever GET is. */
export const ROUTES: readonly Route[] = [
  { method: 'POST', path: CHAT_PATH, needsKey: true, serve: serveChatOnce, tells: OPERATIONS.chat },
  { method: 'POST', path: RESPONSES_PATH, needsKey: true, serve: serveResponses, tells: OPERATIONS.responses },
  { method: 'POST', path: MESSAGES_PATH, needsKey: true, serve: serveMessages, tells: OPERATIONS.messages },
  { method: 'POST', path: `${MESSAGES_PATH}/count_tokens`, needsKey: true, serve: countTokens, tells: OPERATIONS.countTokens },
  { method: 'GET', path: '/v1/models', needsKey: true, serve: showModels, tells: OPERATIONS.models },
  { method: 'GET', path: '/v1/models/{id}', needsKey: true, serve: showModel, tells: OPERATIONS.model },
  { method: 'GET', path: '/v1/user/balance', needsKey: true, frozenToo: true, serve: showBalance, tells: OPERATIONS.balance },
  { method: 'POST', path: '/v1/user/credits', needsKey: true, frozenToo: true, serve: startCredits, tells: OPERATIONS.credits },
  { method: 'GET', path: '/v1/user/recharges', needsKey: true, frozenToo: true, serve: showRecharges, tells: OPERATIONS.recharges },
  { method: 'GET', path: '/v1/user/billing-logs', needsKey: true, serve: showBillingLogs, tells: OPERATIONS.billingLogs },
  { method: 'GET', path: '/v1/user/keys', needsKey: true, serve: showKeys, tells: OPERATIONS.keys },
  { method: 'POST', path: '/v1/user/keys', needsKey: true, serve: makeKey, tells: OPERATIONS.makeKey },
  { method: 'DELETE', path: '/v1/user/keys/{id}', needsKey: true, serve: dropKey, tells: OPERATIONS.dropKey },
  { method: 'POST', path: '/v1/user/byok/register', needsKey: true, serve: registerKey, tells: OPERATIONS.registerByok },
  { method: 'GET', path: '/v1/user/byok/keys', needsKey: true, serve: showByokKeys, tells: OPERATIONS.byokKeys },
  { method: 'DELETE', path: '/v1/user/byok/keys/{id}', needsKey: true, serve: dropByokKey, tells: OPERATIONS.dropByok },
  { method: 'POST', path: '/webhooks/stripe', needsKey: false, serve: receiveEvent, tells: OPERATIONS.stripe },
  { method: 'GET', path: '/paid', needsKey: false, serve: showPaid, tells: OPERATIONS.paid },
  { method: 'GET', path: '/unpaid', needsKey: false, serve: showUnpaid, tells: OPERATIONS.unpaid },
  { method: 'GET', path: '/sandbox/checkout/{id}', needsKey: false, serve: showSandboxCheckout, tells: OPERATIONS.checkout },
  { method: 'POST', path: '/sandbox/checkout/{id}', needsKey: false, serve: paySandboxCheckout, tells: OPERATIONS.payCheckout },
  { method: 'POST', path: '/v1/auth/register', needsKey: false, serve: signUp, tells: OPERATIONS.signUp },
  { method: 'GET', path: '/activate', needsKey: false, serve: showActivation, tells: OPERATIONS.activation },
  { method: 'POST', path: '/activate', needsKey: false, serve: activate, tells: OPERATIONS.activate },
  { method: 'GET', path: '/healthz', needsKey: false, serve: showHealth, tells: OPERATIONS.health },
  { method: 'GET', path: '/readyz', needsKey: false, serve: showReadiness, tells: OPERATIONS.readiness },
  { method: 'GET', path: '/metrics', needsKey: false, serve: showMetrics, tells: OPERATIONS.metrics },
  { method: 'GET', path: '/openapi.json', needsKey: false, serve: async (running) => showDescription(running, ROUTES), tells: OPERATIONS.description },
  { method: 'GET', path: '/', needsKey: false, serve: showWelcome, tells: OPERATIONS.welcome },
];

/** Routes without a hole, by method and path: most requests need no search. */
const EXACT: ReadonlyMap<string, Route> = new Map(ROUTES.filter(({ path }) => !path.includes('{')).map((route) => [`${route.method} ${route.path}`, route]));

/** OpenAI paths that findtoken does not serve, and what to use instead. */
const UNSERVED: readonly (readonly [prefix: string, mend: string])[] = [
  ['/v1/completions', 'Use POST /v1/chat/completions with messages instead of a prompt.'],
  ['/v1/edits', 'Use POST /v1/chat/completions with messages instead of an instruction.'],
  ['/v1/responses', 'Answers are not kept: send the whole conversation to POST /v1/responses.'],
  ['/v1/messages', 'Of the Messages API, POST /v1/messages and POST /v1/messages/count_tokens are served.'],
  ['/v1/embeddings', 'Embeddings are not served; POST /v1/chat/completions is.'],
  ['/chat/completions', 'The base URL ends in /v1: POST /v1/chat/completions.'],
  ['/models', 'The base URL ends in /v1: GET /v1/models.'],
];

/**
 * Finds the route of a request.
 * @throws Fault `not_found` (404) that names the path to use where one is known; `method_not_allowed` (405) with `Allow`.
 */
export function findRoute(method: string, path: string): Route {
  const exact = EXACT.get(`${method} ${path}`);
  if (exact !== undefined) return exact;
  const here = ROUTES.filter((route) => matches(route.path, path));
  const asked = method === 'HEAD' ? 'GET' : method;
  const route = here.find((candidate) => candidate.method === asked);
  if (route !== undefined) return route;
  if (here.length > 0) {
    const allow = here.flatMap((candidate) => (candidate.method === 'GET' ? ['GET', 'HEAD'] : [candidate.method])).join(', ');
    throw new Fault('method_not_allowed', { fill: { method: method.slice(0, 20), allow }, headers: { allow } });
  }
  const mend = UNSERVED.find(([prefix]) => path === prefix || path.startsWith(`${prefix}/`))?.[1];
  const detail = mend ?? nearestMend(asked, path) ?? 'POST /v1/chat/completions and GET /v1/models are the paths most clients want.';
  throw new Fault('not_found', { fill: { detail: `There is nothing at this path. ${detail}` } });
}

/** What was probably meant by a path that is not there. Only what follows `/v1/` and `/v1/user/` is compared: what many paths share makes none of them near. */
function nearestMend(method: string, path: string): string | undefined {
  const named = [...EXACT.values()].filter((route) => route.path !== '/');
  const near = nearestName(named.map((route) => ownPart(route.path)), ownPart(path));
  const there = named.filter((route) => ownPart(route.path) === near);
  const meant = there.find((route) => route.method === method) ?? there[0];
  return meant === undefined ? undefined : `Did you mean ${meant.method} ${meant.path}?`;
}

function ownPart(path: string): string {
  return path.replace(/^\/(?:v1\/)?(?:user\/)?/i, '');
}

/** Serves a found route, with its owner where it needs one. */
export function serveRoute(route: Route, running: Running, call: Call, owner: KeyOwner | undefined): Promise<Answer | Streamed> {
  if (!route.needsKey) return route.serve(running, call);
  if (owner === undefined) throw new Fault('invalid_api_key');
  return route.serve(running, call, owner);
}

function matches(pattern: string, path: string): boolean {
  if (!pattern.endsWith('{id}')) return pattern === path;
  const base = pattern.slice(0, -'{id}'.length);
  return path.startsWith(base) && path.length > base.length && (base === MODELS_BASE || !path.slice(base.length).includes('/'));
}
