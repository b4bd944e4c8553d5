//! English digits as speakers of other languages say them.
//!
//! A synthesiser of another language reads English words that are spelt as its readers would: what it
//! cannot say it says as its speakers do, and with their voices. Many who speak English learned another
//! language first, and synthesisers of English know nothing of them.

use super::vocabulary::DIGITS;

/// A language whose speakers say English digits.
#[derive(Debug, PartialEq)]
pub struct Accent {
    /// The digits from zero to nine, spelt for its readers.
    pub digits: [&'static str; DIGITS.len()],
    /// Its voice in eSpeak NG.
    pub espeak: &'static str,
    /// Its voices in Festival, which are recorded people's, as Debian packages them.
    pub festival: &'static [&'static str],
}

/// The languages, by the name of their voice in eSpeak NG.
#[rustfmt::skip] // a language a line
pub const ACCENTS: [Accent; 15] = [
    Accent { espeak: "ca", festival: &["upc_ca_ona_hts"], digits: ["ziro", "uan", "tu", "zri", "for", "faif", "sics", "seven", "eit", "nain"] },
    Accent { espeak: "cs", festival: &["czech_dita", "czech_krb", "czech_machac", "czech_ph"], digits: ["zirou", "uan", "tu", "sri", "for", "fajv", "siks", "sevn", "ejt", "najn"] },
    Accent { espeak: "de", festival: &[], digits: ["siero", "uann", "tuh", "srih", "fohr", "faif", "six", "sewwen", "eet", "nain"] },
    Accent { espeak: "el", festival: &[], digits: ["ζίρο", "ουάν", "του", "θρι", "φορ", "φάιβ", "σιξ", "σέβεν", "έιτ", "νάιν"] },
    Accent { espeak: "es", festival: &[], digits: ["siro", "uan", "tu", "zri", "for", "faiv", "six", "seven", "eit", "nain"] },
    Accent { espeak: "fi", festival: &["suo_fi_lj_diphone", "hy_fi_mv_diphone"], digits: ["siirou", "uan", "tuu", "srii", "foor", "faiv", "siks", "seven", "eit", "nain"] },
    Accent { espeak: "fr-fr", festival: &[], digits: ["ziro", "ouane", "tou", "sri", "faure", "faïve", "sixe", "sévène", "eïte", "naïne"] },
    Accent { espeak: "hi", festival: &[], digits: ["ज़ीरो", "वन", "टू", "थ्री", "फ़ोर", "फ़ाइव", "सिक्स", "सेवन", "एट", "नाइन"] },
    Accent { espeak: "hu", festival: &[], digits: ["zíró", "uan", "tú", "szrí", "fór", "fájv", "sziksz", "szeven", "éjt", "nájn"] },
    Accent { espeak: "it", festival: &["lp_diphone", "pc_diphone"], digits: ["ziro", "uan", "tu", "tri", "for", "faiv", "sics", "seven", "eit", "nain"] },
    Accent { espeak: "nl", festival: &[], digits: ["ziero", "wan", "toe", "srie", "foor", "faif", "siks", "seven", "eet", "nain"] },
    Accent { espeak: "pl", festival: &[], digits: ["ziroł", "łan", "tu", "sri", "for", "fajw", "siks", "sewen", "ejt", "najn"] },
    Accent { espeak: "pt-br", festival: &[], digits: ["zírou", "uã", "tu", "trí", "fór", "faive", "siques", "séven", "eite", "naine"] },
    Accent { espeak: "ru", festival: &["msu_ru_nsh_clunits"], digits: ["зироу", "уан", "ту", "сри", "фор", "файв", "сикс", "сэвэн", "эйт", "найн"] },
    Accent { espeak: "tr", festival: &[], digits: ["ziro", "van", "tu", "tri", "for", "fayv", "siks", "sevın", "eyt", "nayn"] },
];
