/** What a unit is written for. */
export interface Unit {
  /** Absolute path of the node that runs findtoken; undefined: the program is the single executable. */
  readonly node: string | undefined;
  /** Absolute path of findtoken's program. */
  readonly program: string;
  /** Absolute path of the settings; undefined: where the daemon finds them itself. */
  readonly config: string | undefined;
  /** Folders that the daemon writes beside its home: the database's, the anchors', and for a key file the master key's. */
  readonly writes: readonly string[];
  readonly home: string;
  /** `server.drain`: running requests may end for so long, and the books are closed after it. */
  readonly drainMs: number;
}

/**
 * A systemd unit. The system's form runs as a user of its own and may write nothing but its folders, which a user's own manager
 * cannot see to; both reach nothing but the network, and leave no core file. Whatever fails is started again after two seconds: an address that is not there yet, or books that
 * another process keeps, mend themselves. Only a wrong command line (exit 2) never does.
 */
export function systemdUnit(unit: Unit, scope: 'user' | 'system'): string {
  const isSystem = scope === 'system';
  const writes = unit.writes.length === 0 ? '' : `ReadWritePaths=${unit.writes.map(systemdPath).join(' ')}\n`;
  return `[Unit]
Description=findtoken, an OpenAI-compatible gateway
${isSystem ? 'After=network-online.target\nWants=network-online.target\n' : ''}
[Service]
Type=exec
ExecStart=${commandOf(unit).map(systemdWord).join(' ')}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=2
RestartPreventExitStatus=2
# Running requests may end: server.drain, and a little.
TimeoutStopSec=${stopSeconds(unit)}
${isSystem ? `User=findtoken
Group=findtoken
# Secrets as NAME=value, readable by root alone.
EnvironmentFile=-/etc/findtoken/environment
StateDirectory=findtoken
StateDirectoryMode=0700
ProtectHome=${unit.writes.some((path) => path.startsWith('/home/') || path.startsWith('/root')) ? 'tmpfs' : 'true'}
` : `EnvironmentFile=-%h/.config/findtoken/environment
`}UMask=0077
LimitNOFILE=65536
# A core file would hold every key in the daemon's memory.
LimitCORE=0
NoNewPrivileges=true
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=true
RestrictRealtime=true
RestrictSUIDSGID=true
LockPersonality=true
SystemCallArchitectures=native
SystemCallFilter=@system-service
${isSystem ? SYSTEM_ONLY + writes : ''}
[Install]
WantedBy=${isSystem ? 'multi-user.target' : 'default.target'}
`;
}

/** A user's own service manager may neither drop capabilities nor mount: these would stop the service there. */
const SYSTEM_ONLY = `PrivateTmp=true
PrivateDevices=true
ProtectSystem=strict
ProtectControlGroups=true
ProtectKernelLogs=true
ProtectKernelModules=true
ProtectKernelTunables=true
ProtectClock=true
ProtectHostname=true
CapabilityBoundingSet=
AmbientCapabilities=
`;

/** A launchd agent for the user that is logged in, or a daemon of the machine. */
export function launchdPlist(unit: Unit): string {
  const words = commandOf(unit).map((word) => `    <string>${xml(word)}</string>`).join('\n');
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>dev.findtoken</string>
  <key>ProgramArguments</key>
  <array>
${words}
  </array>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ExitTimeOut</key>
  <integer>${stopSeconds(unit)}</integer>
  <key>Umask</key>
  <integer>63</integer>
  <key>SoftResourceLimits</key>
  <dict>
    <key>Core</key>
    <integer>0</integer>
  </dict>
  <key>HardResourceLimits</key>
  <dict>
    <key>Core</key>
    <integer>0</integer>
  </dict>
  <key>StandardOutPath</key>
  <string>${xml(`${unit.home}/Library/Logs/findtoken.log`)}</string>
  <key>StandardErrorPath</key>
  <string>${xml(`${unit.home}/Library/Logs/findtoken.log`)}</string>
</dict>
</plist>
`;
}

/** Seconds after which the service manager may end the daemon by force: what was answered still leaves, and the books are closed. */
function stopSeconds({ drainMs }: Unit): number {
  return Math.ceil(drainMs / 1_000) + 30;
}

function commandOf({ node, program, config }: Unit): readonly string[] {
  return [...(node === undefined ? [] : [node]), program, 'serve', ...(config === undefined ? [] : ['--config', config])];
}

/** In a unit a % begins a specifier, a $ a variable; quotes keep spaces. */
function systemdWord(word: string): string {
  const escaped = word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%').replaceAll('$', '$$$$');
  return /^[\w@%+=:,./-]+$/.test(escaped) ? escaped : `"${escaped}"`;
}

function systemdPath(path: string): string {
  return systemdWord(path);
}

function xml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
