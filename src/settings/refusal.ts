/** findtoken.yaml or the environment is at fault. The message is one line: `file:line:col: key: what is wrong. The mend.` It never bears a secret. */
export class SettingsError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SettingsError';
  }
}
