//! Whole numbers in JSON.

/// Returns the value of a JSON number that is whole, exactly; none if the text is another one, or outside of an `i64`.
///
/// JSON has one type of number, so `30`, `30.0`, and `3e1` are the same. A detour over a binary fraction would make
/// `0.99999999999999999999` the number 1.
pub(super) fn parse(json: &str) -> Option<i64> {
    let (negative, unsigned) = json.strip_prefix('-').map_or((false, json), |rest| (true, rest));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if whole.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let dropped = digits.len() - digits.trim_end_matches('0').len();
    let exponent: i64 = exponent.parse().ok()?;
    let shift = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(i64::try_from(dropped).ok()?)?;
    let scale = 10_i128.checked_pow(u32::try_from(shift).ok()?)?;
    let magnitude = significant.parse::<i128>().ok()?.checked_mul(scale)?;
    (if negative { -magnitude } else { magnitude }).try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn each_form_of_a_whole_number_is_exact() {
        for (json, number) in [
            ("0", 0),
            ("-0", 0),
            ("0e99999999999999999999", 0),
            ("30", 30),
            ("30.0", 30),
            ("3e1", 30),
            ("0.3E+2", 30),
            ("3000e-2", 30),
            ("-30", -30),
            ("9007199254740993", 9_007_199_254_740_993),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
        ] {
            assert_eq!(parse(json), Some(number), "{json}");
        }
    }

    #[test]
    fn fractions_other_texts_and_large_numbers_are_rejected() {
        for json in [
            "0.99999999999999999999",
            "1.0000000000000000000001",
            "0.5",
            "1e-1",
            "1e-99999999999999999999",
            "1e99999999999999999999",
            "1e40",
            "9223372036854775808",
            "",
            "-",
            ".5",
            "e1",
            "1e",
            "+1",
            "\"30\"",
            "null",
            "true",
            "[1]",
            "NaN",
            "0x10",
            "١",
        ] {
            assert_eq!(parse(json), None, "{json}");
        }
    }
}
