import type { Report } from './check.js';
import { READ_BY_RELAYS } from '../permissions/permissions.js';
import { relayLists } from './relay-refs.js';
import { child, entriesOf, itemsOf, treeAt, type Path, type Tree } from '../text/tree.js';

/** Words in the names of variables that hold secrets. */
const SECRET_PARTS =
  /^(KEYS?|PASS|PWD|PW|PAT|PSK|PIN|AUTH|WEBHOOK|COOKIE|JWT|DSN|BEARER|SALT|SEED|MNEMONIC)$/;
const SECRET_WORDS =
  /TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|PRIVATE_?KEY|API_?KEY|ACCESS_?KEY|(DATABASE|POSTGRES\w*|MYSQL|MONGO\w*|REDIS|AMQP|RABBITMQ)_UR[IL]|CONNECTION_?STRING/;

/** Whether the name of a variable suggests a secret: DB_PASSWORD, githubToken, AWS_ACCESS_KEY_ID. */
export function isSecretName(name: string): boolean {
  const words = name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
  // PWD without other words is the current folder.
  return (
    SECRET_WORDS.test(words) || (words !== 'PWD' && words.split('_').some((part) => SECRET_PARTS.test(part)))
  );
}

/** Rejects variables that look like secrets in values that relays read, even with permission. */
export function checkSent(root: Tree, report: Report): void {
  const visit = (tree: Tree | undefined, path: Path): void => {
    if (tree?.kind === 'scalar') {
      const name = tree.variables?.find(isSecretName);
      if (name === undefined) return;
      report(path, {
        message: `the value of ${name} would be sent to a relay`,
        hint: 'Portal sends no variable whose name looks like a secret. Remove it, or use a variable with another name.',
      });
      return;
    }
    for (const [index, item] of itemsOf(tree).entries()) visit(item, [...path, index]);
    for (const [key, { value }] of entriesOf(tree)) visit(value, [...path, key]);
  };
  for (const key of ['machine', 'team']) visit(child(root, key), [key]);
  for (const { urlPath } of relayLists(root).flat()) visit(treeAt(root, urlPath), urlPath);
  for (const [service] of entriesOf(child(root, 'services')))
    for (const key of READ_BY_RELAYS) {
      const path = ['services', service, key];
      visit(treeAt(root, path), path);
    }
}
