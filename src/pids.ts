/** Numbers of processes, and what they mean here. */
import { readFileSync, readlinkSync } from 'node:fs';

/** Names the space in which numbers of processes mean the same: a container has one of its own. Undefined where that cannot be told. */
export function pidSpace(): string | undefined {
  if (process.platform !== 'linux') return process.platform;
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch (error) {
    if (codeOf(error) === undefined) throw error;
    return undefined;
  }
}

/**
 * Names the life within which a number means one process: this start of this machine, and a space of numbers in it. Another machine, a
 * container or the machine as it was before its restart have other names. Undefined where that cannot be told.
 */
export function pidLife(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  const space = pidSpace();
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
    return space === undefined ? undefined : `${boot}${space}`.replace(/[^0-9a-z]/g, '');
  } catch (error) {
    if (codeOf(error) === undefined) throw error;
    return undefined;
  }
}

/** Whether no process has this number; its space must be ours. One that another was given since counts as there. */
export function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    const code = codeOf(error);
    // Another user's process may not be asked, and is there.
    if (code !== 'ESRCH' && code !== 'EPERM') throw error;
    return code === 'ESRCH';
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}
