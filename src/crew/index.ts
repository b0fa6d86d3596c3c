/** Processes that serve side by side: how the first one starts the others, and how they talk. */
export { openLink } from './link.ts';
export type { Handlers, Link, Topics } from './link.ts';
export { forkMember, isMember, linkToPrimary } from './member.ts';
export type { Ended, Member } from './member.ts';
