/** Where a daemon is reached that listens here. `urlOf('::1', 80)` is `http://[::1]:80`. */
export function urlOf(host: string, port: number): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
