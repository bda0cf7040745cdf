/**
 * Phrases that read as translated, each with the field's term. `wrong` is a sentence that the rule flags, `right` a sound
 * one close to it that it must not flag: a rule that flags sound English is worse than no rule.
 */
export const RULES = [
  rule(
    /longer than its (bound|limit)|\btakes? (its|their) time\b/,
    '"timed out" or "timeout"',
    'the answer takes longer than its bound',
    'the answer timed out',
  ),
  rule(
    /(?<!\bthere )\bis no (list|number|name|URL|address|file|port|key|host|object|text)\b/,
    '"invalid" or "not a …"',
    '"99999" is no port',
    'there is no port in the URL',
  ),
  rule(
    /\b(is|are) not one\b(?! (of|DNS|\w+ but)\b)/,
    '"invalid", or name the noun again',
    'the list of relays is not one',
    'it is not one of the relays',
  ),
  rule(
    /(made|make) (no )?sense of\b/,
    '"invalid" or "malformed"',
    'what cannot be made sense of',
    'this order makes sense',
  ),
  rule(
    /\b(is|are|was|were) none\b(?! of)/,
    '"no …" or "invalid"',
    'where there is none',
    'there is no relay',
  ),
  rule(/\bwell again\b|wellAgain/, '"healthy" or "recovered"', 'the target is well again', 'as well as'),
  rule(
    /\b(is|are|was|were|be) (not )?well(?=[.,;:)]|$)|\bif all (is|are) well\b/,
    '"healthy"',
    'as long as the relay is well.',
    'the term is well known',
  ),
  rule(/\bto be had\b/, '"available" or "unavailable"', 'the port is not to be had', 'a limit to be set'),
  rule(
    /\bports? [^.,]{0,24}\b(is|are|was) taken\b/,
    '"in use"',
    'port 8443 is taken',
    'the name web is taken',
  ),
  rule(
    /\b(turn|turns|turned|turning|send|sends|sent|sending) (\w+ )?away\b/,
    '"reject" or "disconnect"',
    'visitors are turned away',
    'right away',
  ),
  rule(
    /\b(keep|keeps|kept|keeping) (it |them |\w+ )?out\b(?! of)/,
    '"reject" or "deny"',
    'a PIN keeps them out',
    'keep it out of logs',
  ),
  rule(
    /\b(is|are|was|were) gone\b/,
    '"disconnected", "removed" or "missing"',
    'once the agent is gone',
    'a request that has gone out',
  ),
  rule(/\b(dies|died)\b/, '"exits", "fails" or "disconnects"', 'when the agent dies', 'when it exits'),
  rule(
    /\b(going|goes|went) away\b/,
    '"shut down", "drain" or "disconnect"',
    'the relay is going away',
    'the GOAWAY frame',
  ),
  rule(
    /\bsuccessors?\b/,
    '"the new process", "the next relay" or another noun',
    'visitors wait for its successor',
    'success',
  ),
  rule(
    /\b(asked|tried|carried|carries|carry|carrying) on\b(?! (the|a|an|each|every|\w+ed)\b)/,
    '"retried" or "continue"',
    'the download is carried on',
    'it was tried on a slow machine',
  ),
  rule(
    /\bby (itself|themselves)\b|\bof (its|their) own accord\b/,
    '"automatically", or drop it',
    'it comes back by itself',
    'it comes back',
  ),
  rule(
    /\bhop(s|ped)? (back|over)\b|\bhopped to\b/,
    '"failover" or "failback"',
    'services hop back',
    'a hop of the chain',
  ),
  rule(
    /\b(take|takes|took|taking|taken) the place of\b/,
    '"replace"',
    'one takes the place of the other',
    'takes place',
  ),
  rule(
    /\b(stand|stands|stood|wait|waits|waiting) in line\b|\bin line (for|behind)\b/,
    '"queue"',
    'visitors stand in line',
    'in line 7 of the file',
  ),
  rule(
    /\b(kept|keeps|keep) ready\b/,
    '"idle pool" or "kept-alive"',
    'connections that are kept ready',
    'kept alive',
  ),
  rule(
    /\b(an?|its|their|no|any|every|own|hard|without|other|same) bounds?\b(?! (to|by|with|in|at)\b)|\bbounds (of(?! a histogram)|for|on|are|hold)\b|\b(nothing|what) bounds\b/,
    '"limit" or "timeout"',
    'every wait has a bound',
    'the channel that a proof is bound to',
  ),
  rule(
    /\b(left|leave|leaves|leaving) (it |them )?out\b/,
    '"default", "omit" or "skip"',
    'if it is left out',
    'omit it',
  ),
  rule(
    /\b(pass|passes|passed|passing) (it |them )?on\b(?! (the|Linux|Node|every|each|all|both|a|an|two|one|\d)\b)/,
    '"forward" or "pass through"',
    'what the relay passes on',
    'tests pass on Node 24',
  ),
  rule(
    /\b(is|are|be) of (your|the|a|its) local CA\b/,
    '"issued by your local CA"',
    'certificates are of your local CA',
    'the key of your local CA',
  ),
  rule(/\b(lapse|lapses|lapsed|lapsing)\b/i, '"expire"', 'names lapse', 'names expire'),
  rule(
    /\b(is|are|was|were) over(?=[.,;:)]|$)/,
    '"ended", "expired" or "finished"',
    'until the wait is over.',
    'TLS is over TCP, and it is over the limit',
  ),
  rule(
    /\b(whoever|whomever|whosever)\b/i,
    'who: "an agent that …", "a user who …"',
    'whoever has another identity',
    'an agent with another identity',
  ),
  rule(/\bin (its|their) place\b/, '"instead"', 'another is used in its place', 'placed in the list'),
  rule(/\bfor good\b(?! reason)/, '"permanently"', 'closed for good', 'for good reasons'),
  rule(
    /\bin one breath\b|in another's clothes|\bstumble[ds]?\b/,
    'it without a metaphor',
    'said in one breath',
    'said in one message',
  ),
  rule(
    /\b(tells|(?<!const )told) of\b/,
    '"report" or "announce"',
    'relays that others told of',
    'relays that others announced',
  ),
  rule(
    /\bwhat (runs|was served)\b/,
    '"the running configuration"',
    'compared with what runs',
    'what it runs',
  ),
];

function rule(pattern, say, wrong, right) {
  return { pattern, say, wrong, right };
}
