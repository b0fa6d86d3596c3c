import type { Answer, Running } from '../types.ts';
import { describeApi, type DescribedRoute } from './document.ts';

/** `GET /openapi.json`: the API as OpenAPI 3.1, for anybody. Made when it is first asked for, and again when the settings were read again. */
export async function showDescription(running: Running, routes: readonly DescribedRoute[]): Promise<Answer> {
  const { settings, version, described } = running;
  const { catalog } = settings;
  const known = described.get(catalog);
  const body = known ?? JSON.stringify(describeApi(routes, { version, settings }));
  if (known === undefined) described.set(catalog, body);
  return { status: 200, body, headers: { 'content-type': 'application/json; charset=utf-8' } };
}
