/** Who is tried next, and what is known of everybody's health. Pure: the caller sleeps, sends, and keeps the entries. */
export type { Candidate, HealthEntry, HealthEvent, Outcome, Plan, RetryRules, Skipped, Step, Trail } from './types.ts';
export type { PlanInput } from './plan.ts';
export { expectedCost, planCandidates } from './plan.ts';
export { nextStep } from './step.ts';
export type { ByokPlace, HealthView } from './health.ts';
export { breakEvent, describeHealth, forOperator, healthEvent, healthKey, isOpen, isResting, observe, readHealthKey, reserveTrial } from './health.ts';
