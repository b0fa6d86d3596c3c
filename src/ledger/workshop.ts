import { lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { whyNot } from '../disk.ts';
import { isGone, pidLife } from '../pids.ts';

const PREFIX = '.findtoken-backup-';
/** The maker's life of numbers and its number stand in the name, so that no moment is without them. */
const NAME = /^\.findtoken-backup-(?:([0-9a-z]+)-([0-9]+)-)?[A-Za-z0-9]{6}$/;
/** What a copy is made of; a folder that holds anything else is somebody's. */
const CONTENT = /^(?:copy|source)\.db(?:-wal|-shm|-journal)?$/;
/** So long no copy stands still. */
const STILL_MS = 86_400_000;

/**
 * Works in a new folder that this user alone may enter: where others write too, none of them can put a link in its way. What dead
 * processes left beside it is removed first.
 * @param to beside which the folder is made
 * @param nowMs by the clock of the disk
 */
export async function inWorkshop<T>(to: string, work: (folder: string) => Promise<T>, nowMs: number = Date.now()): Promise<T> {
  const parent = dirname(to);
  clearLeft(parent, nowMs);
  const life = pidLife();
  const folder = mkdtempSync(join(parent, life === undefined ? PREFIX : `${PREFIX}${life}-${process.pid}-`));
  const sweep = () => rmSync(folder, { recursive: true, force: true });
  // An interrupted command ends at once.
  process.once('exit', sweep);
  try {
    return await work(folder);
  } finally {
    process.off('exit', sweep);
    sweep();
  }
}

/** Whoever may not look into the place, or remove what is there, leaves it: the copy itself is told of what stands in its way. */
function clearLeft(parent: string, nowMs: number): void {
  try {
    for (const name of readdirSync(parent)) if (NAME.test(name) && isLeft(parent, name, nowMs)) rmSync(join(parent, name), { recursive: true, force: true });
  } catch (error) {
    if (whyNot(parent, error) === undefined) throw error;
  }
}

/**
 * Whether a folder's maker is dead. Of one of another machine, container or start of this machine, and of one that an older findtoken
 * made, only its rest tells; a maker that lives on all the same is left without its copy, and says that it failed.
 */
function isLeft(parent: string, name: string, nowMs: number): boolean {
  const folder = join(parent, name);
  const found = lstatSync(folder, { throwIfNoEntry: false });
  if (found?.isDirectory() !== true || (process.geteuid !== undefined && found.uid !== process.geteuid())) return false;
  const content = readdirSync(folder);
  if (!content.every((file) => CONTENT.test(file))) return false;
  const [, life, pid] = NAME.exec(name) ?? [];
  if (life !== undefined && life === pidLife() && isGone(Number(pid))) return true;
  const moved = content.flatMap((file) => lstatSync(join(folder, file), { throwIfNoEntry: false })?.mtimeMs ?? []);
  return Math.max(found.mtimeMs, ...moved) < nowMs - STILL_MS;
}
