import { BYOK_FORM, CREDITS_FORM, KEY_FORM, SIGN_UP_FORM } from '../forms.ts';
import { LOGS_QUERY, PAGE_QUERY, RECHARGES_QUERY } from '../query.ts';
import type { OneAnswer, Operation } from './operation.ts';

const HTML = 'text/html';
const page = (about: string): OneAnswer => ({ about, media: HTML });

const CHAT: Operation = {
  id: 'createChatCompletion',
  tag: 'Chat',
  summary: 'Ask a model',
  about: `The OpenAI call. Fields that are not described pass through to the provider untouched.

A stream ends with \`data: [DONE]\`; just before it stands the comment \`: x-findtoken-cost 0.00042\`, and cost and balance follow as HTTP trailers.
While the provider is silent, comments go out. A failure after the head is one event \`data: {"error": {…}}\` (an Error) and the end of the stream without \`[DONE]\`.`,
  headers: {
    'X-FindToken-Routing': 'as the field routing, for clients that can set only headers',
    'X-FindToken-Mode': '`standard` or `byok`: asks for a mode',
    'Idempotency-Key': '1 to 255 printable ASCII characters: a repeat joins or replays the first call, and is charged once',
  },
  body: { schema: 'ChatRequest' },
  answers: {
    200: {
      about: 'the answer, or with `stream: true` its events', view: 'ChatCompletion', streams: 'ChatCompletionChunk',
      headers: ['X-FindToken-Provider', 'X-FindToken-Model', 'X-FindToken-Attempts', 'X-RateLimit-Limit-Requests', 'X-RateLimit-Remaining-Requests', 'X-RateLimit-Reset-Requests', 'Idempotent-Replayed'],
    },
  },
  refuses: [
    'context_length_exceeded', 'content_filter', 'invalid_provider_key', 'insufficient_credits', 'provider_balance_exhausted', 'model_not_found', 'idempotency_conflict',
    'rate_limit_exceeded', 'provider_failed', 'providers_unavailable',
  ],
};

const RESPONSES: Operation = {
  ...CHAT,
  id: 'createResponse',
  summary: 'Ask a model, by OpenAI\'s Responses API',
  about: `The same call in other words: it is served as the chat call that says the same, and routed, charged and repeated like one. Nothing is kept: \`previous_response_id\`, \`conversation\`, \`prompt\` and items that are named by reference are refused, and \`store\` has no effect.

Of the tools, functions and custom ones are served, those that OpenAI runs itself are left out. What a model thinks is told as the summary of a reasoning item; sent back with the next request it reaches the model again.
A stream is OpenAI's events up to \`response.completed\`, \`response.incomplete\` or \`response.failed\`; comments, trailers and \`usage.cost\` are those of a chat call.`,
  body: { media: 'application/json', about: 'a request as OpenAI\'s Responses API has it; `routing` and `provider_key` as in a chat call' },
  answers: { 200: { about: 'a response as OpenAI has it, or with `stream: true` its events', media: 'application/json', headers: CHAT.answers[200]?.headers ?? [] } },
};

const MESSAGES: Operation = {
  ...CHAT,
  id: 'createMessage',
  summary: 'Ask a model, by Anthropic\'s Messages API',
  about: `The same call in other words: it is served as the chat call that says the same, and routed, charged and repeated like one. Errors are those of every path, with \`type: "error"\` and \`request_id\` beside.

Tools with an \`input_schema\` are served, those that Anthropic runs itself are left out. A stream is Anthropic's events up to \`message_stop\`, or \`error\`; comments, trailers and \`usage.cost\` are those of a chat call.`,
  body: { media: 'application/json', about: 'a request as Anthropic\'s Messages API has it; `routing` and `provider_key` as in a chat call' },
  answers: { 200: { about: 'a message as Anthropic has it, or with `stream: true` its events', media: 'application/json', headers: CHAT.answers[200]?.headers ?? [] } },
};

/** What each route says of itself. */
export const OPERATIONS = {
  chat: CHAT,
  responses: RESPONSES,
  messages: MESSAGES,
  countTokens: { id: 'countMessageTokens', tag: 'Chat', summary: 'How many tokens a message would take', about: 'An estimate of ours: no provider is asked.', body: { media: 'application/json', about: 'a request as for POST /v1/messages' }, answers: { 200: { about: '`{input_tokens}`', media: 'application/json' } } },
  models: { id: 'listModels', tag: 'Models', summary: 'Every model, with prices and equivalents', answers: { 200: { about: 'all of them, on one page', view: 'ModelList' } } },
  model: { id: 'getModel', tag: 'Models', summary: 'One model', idIs: 'its name; a slash in it is written %2F', answers: { 200: { about: 'the model', view: 'Model' } }, refuses: ['model_not_found'] },
  balance: { id: 'getBalance', tag: 'Account', summary: 'Credits, and the free BYOK requests that are left', answers: { 200: { about: 'the balance', view: 'Balance' } } },
  billingLogs: { id: 'listBillingLogs', tag: 'Account', summary: 'One row a request, newest first', query: { ...LOGS_QUERY, ...PAGE_QUERY }, answers: { 200: { about: 'a page', view: 'BillingLogList' } } },
  keys: { id: 'listKeys', tag: 'Account', summary: 'The account\'s API keys, masked', query: PAGE_QUERY, answers: { 200: { about: 'a page', view: 'ApiKeyList' } } },
  makeKey: { id: 'createKey', tag: 'Account', summary: 'Make an API key', body: { form: KEY_FORM }, answers: { 201: { about: 'the key, this once', view: 'NewApiKey' } } },
  dropKey: { id: 'revokeKey', tag: 'Account', summary: 'Revoke an API key', about: 'It is refused at the very next request.', idIs: 'the key\'s id', answers: { 200: { about: 'revoked', view: 'Deleted' } }, refuses: ['not_found'] },
  credits: {
    id: 'createRecharge', tag: 'Recharges', summary: 'Open a checkout', body: { form: CREDITS_FORM }, answers: { 201: { about: 'the recharge, to be paid at its checkout_url', view: 'Recharge' } },
    refuses: ['rate_limit_exceeded', 'payments_unavailable'],
  },
  recharges: { id: 'listRecharges', tag: 'Recharges', summary: 'The account\'s recharges, newest first', query: { ...RECHARGES_QUERY, ...PAGE_QUERY }, answers: { 200: { about: 'a page', view: 'RechargeList' } } },
  registerByok: {
    id: 'registerByokKey', tag: 'BYOK', summary: 'Keep a provider key of the account', body: { form: BYOK_FORM }, answers: { 201: { about: 'the masked record', view: 'ByokKey' } },
    refuses: ['invalid_provider_key'],
  },
  byokKeys: { id: 'listByokKeys', tag: 'BYOK', summary: 'The account\'s provider keys, masked', query: PAGE_QUERY, answers: { 200: { about: 'a page', view: 'ByokKeyList' } } },
  dropByok: { id: 'removeByokKey', tag: 'BYOK', summary: 'Forget a provider key', idIs: 'the key\'s id', answers: { 200: { about: 'forgotten', view: 'Deleted' } }, refuses: ['not_found'] },
  signUp: {
    id: 'register', tag: 'Sign-up', summary: 'Sign an address up by mail', about: 'The answer is the same whether the address is new, waiting or known. 404 where `registration.open` is false.',
    body: { form: SIGN_UP_FORM }, answers: { 202: { about: 'accepted', view: 'Registration' } }, refuses: ['not_found', 'rate_limit_exceeded'],
  },
  activation: { id: 'showActivation', tag: 'Sign-up', summary: 'The page behind the link of the activation mail', about: 'It activates nothing, for mail scanners open links.', query: { token: { about: 'of the link', expects: '', schema: { type: 'string' }, read: (text) => text } }, answers: { 200: page('a page with a button'), 400: page('the link is not whole') } },
  activate: {
    id: 'activate', tag: 'Sign-up', summary: 'The button of that page', about: 'Activates the account, once; the page shows its first API key.',
    body: { media: 'application/x-www-form-urlencoded', about: 'the field `token`; it may stand in the query instead' },
    answers: { 200: page('activated'), 403: page('the account was deactivated'), 404: page('an unknown link'), 410: page('used or expired') },
    refuses: ['unsupported_media_type', 'request_too_large'],
  },
  stripe: {
    id: 'receiveStripeEvent', tag: 'Operation', summary: 'Stripe\'s events', about: 'Believed only with their signature.', headers: { 'Stripe-Signature': 'over the raw body' },
    body: { media: 'application/json', about: 'an event as Stripe sends it' }, answers: { 200: { about: 'what it says is in the books, or is not for us', view: 'Received' } },
    refuses: ['request_too_large', 'payments_unavailable', 'storage_unavailable'],
  },
  paid: { id: 'showPaid', tag: 'Recharges', summary: 'Where a payment leads to that names no success_url', answers: { 200: page('a page') } },
  unpaid: { id: 'showUnpaid', tag: 'Recharges', summary: 'Where a payer goes who turned back', answers: { 200: page('a page') } },
  checkout: { id: 'showSandboxCheckout', tag: 'Recharges', summary: 'The sandbox\'s payment page', idIs: 'the recharge\'s id', answers: { 200: page('a page with a button') }, refuses: ['not_found'] },
  payCheckout: { id: 'paySandboxCheckout', tag: 'Recharges', summary: 'Its button: pays in play money', idIs: 'the recharge\'s id', answers: { 200: page('paid'), 410: page('expired') }, refuses: ['not_found'] },
  health: { id: 'getHealth', tag: 'Operation', summary: 'The process lives', answers: { 200: { about: 'it does', view: 'Health' } } },
  readiness: { id: 'getReadiness', tag: 'Operation', summary: 'Whether to send traffic here', answers: { 200: { about: 'ready', view: 'Readiness' }, 503: { about: 'draining, the books cannot be read, or their disk is full', view: 'Readiness', headers: ['Retry-After'] } } },
  metrics: { id: 'getMetrics', tag: 'Operation', summary: 'Prometheus text', about: 'For this machine alone, unless `server.metrics` opens it.', answers: { 200: { about: 'exposition format 0.0.4', media: 'text/plain' } }, refuses: ['not_found'] },
  description: { id: 'getDescription', tag: 'Operation', summary: 'This description', answers: { 200: { about: 'OpenAPI 3.1', media: 'application/json' } } },
  welcome: { id: 'getWelcome', tag: 'Operation', summary: 'A line for humans', answers: { 200: { about: 'a line', media: 'text/plain' } } },
} as const satisfies Readonly<Record<string, Operation>>;
