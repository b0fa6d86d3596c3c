import type { Figures } from './run.ts';
export function writeDocs(_figures: Figures): void { throw new Error('unwritten'); }
