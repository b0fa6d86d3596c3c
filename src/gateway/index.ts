/** The HTTP API and the walk of a chat request. */
export { createGateway } from './gateway.ts';
export type { Gateway, Worker } from './gateway.ts';
export { openDesk } from './shared/desk.ts';
export type { Desk } from './shared/desk.ts';
export { limitFault } from './limits.ts';
export type { LimitRefusal } from './limits.ts';
export type { ToDesk, ToMember } from './shared/types.ts';
export type { AccessLine, ChatLine, Clock, Credential, Credentials, GatewayParts, Log, Timing } from './types.ts';
export { HealthBook } from './health.ts';
export { ROUTES } from './routes.ts';
