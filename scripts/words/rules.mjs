import { PHRASES } from './phrases.mjs';
import { TERMS } from './terms.mjs';

/**
 * Phrases that read as translated, each with the field's term. `wrong` is a sentence that the rule flags. `right` is
 * a sound sentence close to it that the rule must not flag: a rule that flags sound English is worse than no rule.
 */
export const RULES = [...TERMS, ...PHRASES];
