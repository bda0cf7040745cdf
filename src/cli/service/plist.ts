import { join } from 'node:path';
import type { ServiceSpec } from './spec.js';

/** A launchd agent (launchd.plist(5)). Untested: the project has no Mac. */
export function plistText({ unit, file, command, folder, env }: ServiceSpec, home: string): string {
  const log = join(home, 'Library/Logs', `${unit}.log`);
  const variables = Object.entries(env).map(([key, value]) => `${tag('key', key)}${tag('string', value)}`);
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>${tag('string', unit)}
  <key>PortalConfiguration</key>${tag('string', file)}
  <key>ProgramArguments</key>
  <array>${command.map((word) => tag('string', word)).join('')}</array>
  <key>WorkingDirectory</key>${tag('string', folder)}
  <key>EnvironmentVariables</key>
  <dict>${variables.join('')}</dict>
  <key>RunAtLoad</key><true/>
  <key>KeepAlive</key>
  <dict><key>SuccessfulExit</key><false/></dict>
  <key>ThrottleInterval</key><integer>5</integer>
  <key>ExitTimeOut</key><integer>30</integer>
  <key>StandardOutPath</key>${tag('string', log)}
  <key>StandardErrorPath</key>${tag('string', log)}
</dict>
</plist>
`;
}

/** The configuration of a plist; undefined for a file that Portal did not write. */
export function fileOfPlist(text: string): string | undefined {
  const found = /<key>PortalConfiguration<\/key><string>(.*?)<\/string>/.exec(text)?.[1];
  return found === undefined ? undefined : unescaped(found);
}

/** The paths of Node and Portal. */
export function programsOfPlist(text: string): string[] {
  const words = /<array>(.*?)<\/array>/s.exec(text)?.[1]?.matchAll(/<string>(.*?)<\/string>/g) ?? [];
  return [...words].slice(0, 2).map(([, word]) => unescaped(word!));
}

const tag = (name: string, text: string): string =>
  `<${name}>${text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')}</${name}>`;

const unescaped = (text: string): string =>
  text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
