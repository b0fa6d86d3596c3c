/** The HTTP API and the walk of a chat request. */
export { createGateway } from './gateway.ts';
export type { Gateway } from './gateway.ts';
export type { AccessLine, ChatLine, Clock, Credential, Credentials, GatewayParts, Log, Timing } from './types.ts';
export { HealthBook } from './health.ts';
export { ROUTES } from './routes.ts';
