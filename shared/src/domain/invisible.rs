//! Characters that readers do not see, from the Unicode Character Database. Texts with them look like other texts.

use icu_properties::props::{
    CanonicalCombiningClass, DefaultIgnorableCodePoint, GeneralCategory, PrependedConcatenationMark, VariationSelector,
};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Whether the text of a human has a visible character and no invisible one, except where it changes the characters beside it:
/// joiners, which Persian and Indic names and emoji need, between two visible characters, and variation selectors after one.
pub(super) fn is_readable(text: &str) -> bool {
    let mut before = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let follows_visible = before.is_some_and(is_visible);
        let shapes = is_joiner(character) && characters.peek().is_some_and(|next| is_visible(*next))
            || CodePointSetData::new::<VariationSelector>().contains(character);
        if is_invisible(character) && !(follows_visible && shapes) {
            return false;
        }
        // The selector of an emoji, which a joiner may follow, keeps the emoji as the character before.
        if !is_invisible(character) {
            before = Some(character);
        }
    }
    text.chars().any(is_letter_or_symbol)
}

/// Whether an identifier has no invisible character, except for joiners after a virama, which they change visibly
/// (RFC 5892 Appendix A.1 and A.2).
pub(super) fn has_only_visible(identifier: &str) -> bool {
    let mut before = None;
    identifier.chars().all(|character| {
        let before = before.replace(character);
        let follows_virama = before.is_some_and(|before| {
            CodePointMapData::<CanonicalCombiningClass>::new().get(before) == CanonicalCombiningClass::Virama
        });
        !is_invisible(character) || is_joiner(character) && follows_virama
    })
}

/// Zero width non-joiner and joiner.
fn is_joiner(character: char) -> bool {
    matches!(character, '\u{200c}' | '\u{200d}')
}

fn is_visible(character: char) -> bool {
    !is_invisible(character) && !character.is_whitespace()
}

/// Whether a character alone leaves a mark: no combining mark, space, or invisible character.
fn is_letter_or_symbol(character: char) -> bool {
    // U+2800 is a symbol by its category: the Braille pattern without dots.
    is_visible(character)
        && !is_of(character, &[GeneralCategory::NonspacingMark, GeneralCategory::EnclosingMark])
        && character != '\u{2800}'
}

/// Whether a character is a control, a separator of lines, or one that is drawn as nothing or changes the direction of others.
fn is_invisible(character: char) -> bool {
    use GeneralCategory::{Control, Format, LineSeparator, ParagraphSeparator};
    CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
        || is_of(character, &[Control, LineSeparator, ParagraphSeparator])
        || is_of(character, &[Format]) && !CodePointSetData::new::<PrependedConcatenationMark>().contains(character)
}

fn is_of(character: char, categories: &[GeneralCategory]) -> bool {
    categories.contains(&CodePointMapData::<GeneralCategory>::new().get(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_all_scripts_and_emoji_are_readable() {
        for text in [
            "Ada Lovelace",
            "名",
            "José",
            "Jose\u{301}",
            "علی\u{200c}رضا",
            "ශ\u{dca}\u{200d}රී",
            "👩\u{200d}🚀",
            "❤\u{fe0f}",
            "🏳\u{fe0f}\u{200d}🌈",
            "\u{601}1402",
            "-",
        ] {
            assert!(is_readable(text), "{text:?}");
        }
    }

    #[test]
    fn texts_without_a_visible_character_or_with_an_invisible_one_are_not_readable() {
        for text in [
            "",
            " ",
            "\u{200b}",
            "\u{3164}",
            "\u{2800}",
            "\u{301}",
            "\u{202e}Ada",
            "Ada\u{202c}",
            "A\u{ad}da",
            "Ada\u{2028}",
            "A\u{0}",
            "\u{feff}Ada",
            "\u{200d}Ada",
            "Ada\u{200d}",
            "Ada \u{200d}L",
            "A\u{200c}\u{200c}da",
            "\u{fe0f}",
            "Ada\u{e0041}",
            "A\u{fff9}b",
        ] {
            assert!(!is_readable(text), "{text:?}");
        }
    }

    #[test]
    fn an_identifier_has_joiners_only_after_a_virama() {
        assert!(has_only_visible("ශ\u{dca}\u{200d}රී"));
        for text in ["a\u{200d}b", "\u{200d}", "علی\u{200c}رضا", "a\u{fe0f}", "a\u{200b}b"] {
            assert!(!has_only_visible(text), "{text:?}");
        }
    }
}
