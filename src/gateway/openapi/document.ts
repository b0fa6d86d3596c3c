import { FAULTS, type FaultCode } from '../../faults.ts';
import type { Settings } from '../../settings/index.ts';
import { CHAT_SCHEMAS } from '../../wire/index.ts';
import type { Rules, Schema } from '../form.ts';
import { TAGS, type OneAnswer, type Operation } from './operation.ts';
import { VIEWS } from './views.ts';

/** A route as far as it is described. */
export interface DescribedRoute {
  readonly method: string;
  readonly path: string;
  readonly needsKey: boolean;
  readonly tells: Operation;
}

/** What can be refused before a route is looked at. */
const DOOR: readonly FaultCode[] = ['invalid_request', 'origin_not_allowed', 'expectation_failed', 'misdirected_request', 'headers_too_large', 'internal_error'];
const KEYED: readonly FaultCode[] = ['invalid_api_key', 'account_inactive', 'overloaded', 'storage_unavailable'];
const BODY: readonly FaultCode[] = ['invalid_json', 'request_timeout', 'request_too_large', 'unsupported_media_type'];

const HEADERS: Readonly<Record<string, string>> = {
  'X-Request-Id': 'our id of the request; also that of its billing row',
  'X-FindToken-Mode': '`standard` or `byok`',
  'X-FindToken-Cost': 'US dollars; 0.00 on errors. On a stream a trailer',
  'X-FindToken-Balance': 'US dollars after the call, Standard only; on a stream\'s head before it, and after it as a trailer',
  'X-FindToken-Provider': 'who served',
  'X-FindToken-Model': 'as which model',
  'X-FindToken-Attempts': 'at which attempt',
  'X-RateLimit-Limit-Requests': 'requests a minute of the account',
  'X-RateLimit-Remaining-Requests': 'how many are left at once',
  'X-RateLimit-Reset-Requests': 'until the bucket is full again',
  'Idempotent-Replayed': '`true`: the answer of an earlier call under the same Idempotency-Key',
  'Retry-After': 'whole seconds, 1 to 60',
};

/**
 * Describes the HTTP API in OpenAPI 3.1: from the route table, the forms and queries that requests are read with, the table of
 * refusals, and what the settings decide (the least recharge, the providers' names).
 */
export function describeApi(routes: readonly DescribedRoute[], { version, settings }: { readonly version: string; readonly settings: Pick<Settings, 'server' | 'billing' | 'catalog'> }): Schema {
  const paths: Record<string, Record<string, Schema>> = {};
  for (const route of routes) {
    paths[route.path] ??= {};
    Object.assign(paths[route.path] ?? {}, { [route.method.toLowerCase()]: describeRoute(route, settings) });
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'findtoken',
      version,
      summary: 'A self-hosted, OpenAI-compatible LLM gateway',
      description: 'One endpoint in front of several providers, with prepaid credits or your own provider keys. Every answer bears `X-Request-Id`; every one under `/v1` its mode and cost.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: settings.server.publicUrl }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    security: [{ bearer: [] }, { header: [] }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'an API key, `sk-ft_…`' },
        header: { type: 'apiKey', in: 'header', name: 'x-api-key', description: 'the same key' },
      },
      headers: Object.fromEntries(Object.entries(HEADERS).map(([name, description]) => [name, { description, schema: { type: 'string' } }])),
      schemas: { ...CHAT_SCHEMAS, ...VIEWS },
    },
  };
}

function describeRoute({ path, needsKey, tells }: DescribedRoute, rules: Rules): Schema {
  const { id, tag, summary, about, query = {}, headers = {}, idIs, body } = tells;
  const parameters = [
    ...(path.includes('{id}') ? [{ name: 'id', in: 'path', required: true, description: idIs ?? 'its id', schema: { type: 'string' } }] : []),
    ...Object.entries(query).map(([name, parameter]) => ({ name, in: 'query', description: parameter.about, schema: parameter.schema })),
    ...Object.entries(headers).map(([name, description]) => ({ name, in: 'header', description, schema: { type: 'string' } })),
  ];
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(about === undefined ? {} : { description: about }),
    ...(needsKey ? {} : { security: [] }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: describeBody(body, rules) }),
    responses: { ...refusals(path, needsKey, tells), ...Object.fromEntries(Object.entries(tells.answers).map(([status, answer]: [string, OneAnswer]) => [status, describeAnswer(answer, path)])) },
  };
}

function describeBody(body: NonNullable<Operation['body']>, rules: Rules): Schema {
  if ('media' in body) return { description: body.about, content: { [body.media]: { schema: { type: body.media === 'application/json' ? 'object' : 'string' } } } };
  const schema = 'form' in body ? body.form.schema(rules) : { $ref: `#/components/schemas/${body.schema}` };
  return { required: true, content: { 'application/json': { schema } } };
}

function describeAnswer({ about, view, streams, media, headers = [] }: OneAnswer, path: string): Schema {
  const ref = (name: string) => ({ schema: { $ref: `#/components/schemas/${name}` } });
  const content = {
    ...(view === undefined ? {} : { 'application/json': ref(view) }),
    ...(streams === undefined ? {} : { 'text/event-stream': ref(streams) }),
    ...(media === undefined ? {} : { [media]: { schema: { type: media === 'application/json' ? 'object' : 'string' } } }),
  };
  return { description: about, headers: headerRefs([...everywhere(path), ...headers]), content };
}

/** Every refusal of a route, by its status: the codes, each with its text. */
function refusals(path: string, needsKey: boolean, { body, refuses = [] }: Operation): Readonly<Record<string, Schema>> {
  const isJson = body !== undefined && !('media' in body);
  const codes = [...DOOR, ...(needsKey ? KEYED : []), ...(isJson ? BODY : []), ...refuses];
  const statuses = [...new Set(codes.map((code) => FAULTS[code].status))].sort((one, other) => one - other);
  return Object.fromEntries(statuses.map((status) => {
    const here = codes.filter((code) => FAULTS[code].status === status);
    const retry = status === 429 || status === 503 ? ['Retry-After'] : [];
    return [String(status), {
      description: here.map((code) => `\`${code}\`: ${FAULTS[code].text}`).join('\n\n'),
      headers: headerRefs([...everywhere(path), ...retry]),
      content: { 'application/json': { schema: { allOf: [{ $ref: '#/components/schemas/Error' }, { properties: { error: { properties: { code: { enum: here } } } } }] } } },
    }];
  }));
}

function everywhere(path: string): readonly string[] {
  return path.startsWith('/v1/') ? ['X-Request-Id', 'X-FindToken-Mode', 'X-FindToken-Cost', 'X-FindToken-Balance'] : ['X-Request-Id'];
}

function headerRefs(names: readonly string[]): Schema {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}
