//! Fees as JSON: read strictly, shown as they are read.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::domain::fee::Fee;
use crate::domain::fee::Tariff;
use crate::domain::limit::Number;
use crate::edge::limit_json::Keys;
use crate::edge::limit_json::country;
use crate::edge::limit_json::currency;
use crate::edge::limit_json::filter;
use crate::edge::limit_json::put_filter;

/// Reads a fee.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn fee_of(body: Value) -> Result<Fee, String> {
    let mut keys = Keys::of(body)?;
    let of_account = currency(&keys.required("currency")?, "currency")?;
    let outside = keys.text("outside_country")?.map(|text| country(&text)).transpose()?.unwrap_or(0);
    let converted = match keys.take("converted") {
        None => false,
        Some(Value::Bool(converted)) => converted,
        Some(_) => return Err("`converted` must be true or false".to_owned()),
    };
    let flat = amount(&mut keys, "flat", 0)?;
    let least = amount(&mut keys, "least", 0)?;
    let most = amount(&mut keys, "most", Tariff::MOST_MAX)?;
    let share = keys.integer("basis_points")?.unwrap_or(0);
    let basis_points = u16::try_from(share).ok().filter(|share| *share <= Tariff::BASIS_POINTS_MAX);
    let basis_points = basis_points.ok_or_else(|| {
        format!(
            "`basis_points` must be a whole number of hundredths of a percent, 0 to {}",
            Tariff::BASIS_POINTS_MAX
        )
    })?;
    if flat == 0 && basis_points == 0 && least == 0 {
        return Err("a fee has `flat`, `basis_points` or `least` above zero".to_owned());
    }
    let tariff = Tariff::new(flat, basis_points, least, most);
    let tariff = tariff.ok_or("`least` must not be above `most`")?;
    let filter = filter(&mut keys)?;
    keys.finish()?;
    Ok(Fee { currency: of_account, outside, converted, filter, tariff })
}

/// Minor units of the account's currency.
fn amount(keys: &mut Keys, key: &str, missing: i64) -> Result<i64, String> {
    let amount = keys.integer(key)?.unwrap_or(missing);
    if (0..=Tariff::MOST_MAX).contains(&amount) {
        return Ok(amount);
    }
    Err(format!("`{key}` must be a whole number of minor units, 0 to {}", Tariff::MOST_MAX))
}

/// A fee as [`fee_of`] reads it, under its number.
pub(super) fn fee_json(number: Number, fee: &Fee) -> Value {
    let Tariff { flat, basis_points, least, most } = fee.tariff;
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("currency", json!(fee.currency.to_string()));
    put("flat", json!(flat));
    put("basis_points", json!(basis_points));
    put("least", json!(least));
    put("most", json!(most));
    put("converted", json!(fee.converted));
    if fee.outside != 0 {
        put("outside_country", json!(format!("{:03}", fee.outside)));
    }
    put_filter(&fee.filter, &mut object);
    json!({ "number": number.get(), "fee": object })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn what_is_shown_can_be_set_again() {
        let number = Number::new(3).expect("a number");
        for text in [
            r#"{"currency":"840","flat":250}"#,
            r#"{"currency":"978","basis_points":175,"least":50,"most":2000,"converted":true}"#,
            r#"{"currency":"840","flat":0,"least":1,"outside_country":"840","kinds":["cash"],"channels":["atm"]}"#,
            r#"{"currency":"840","flat":5,"mcc":["6011","5500-5599"],"country":"826","merchant":"M 1"}"#,
        ] {
            let fee = fee_of(parsed(text)).expect(text);
            let shown = fee_json(number, &fee);
            assert_eq!(fee_of(shown["fee"].clone()), Ok(fee), "{shown}");
        }
    }

    #[test]
    fn a_mistake_is_told_in_words() {
        let table = [
            ("[]", "an object is expected"),
            (r#"{"flat":250}"#, "`currency` is missing"),
            (
                r#"{"currency":"US","flat":250}"#,
                "`currency` must be an ISO 4217 code of three digits such as 840",
            ),
            (r#"{"currency":"840"}"#, "a fee has `flat`, `basis_points` or `least` above zero"),
            (r#"{"currency":"840","flat":2.5}"#, "`flat` must be a whole number"),
            (
                r#"{"currency":"840","flat":-1}"#,
                "`flat` must be a whole number of minor units, 0 to 1000000000000000",
            ),
            (
                r#"{"currency":"840","basis_points":10001}"#,
                "`basis_points` must be a whole number of hundredths of a percent, 0 to 10000",
            ),
            (r#"{"currency":"840","least":5,"most":4}"#, "`least` must not be above `most`"),
            (r#"{"currency":"840","flat":1,"converted":1}"#, "`converted` must be true or false"),
            (
                r#"{"currency":"840","flat":1,"outside_country":"0"}"#,
                "a country is an ISO 3166 code of three digits such as 840",
            ),
            (r#"{"currency":"840","flat":1,"percent":1}"#, "`percent` is not known"),
        ];
        for (text, words) in table {
            assert_eq!(fee_of(parsed(text)), Err(words.to_owned()), "{text}");
        }
    }
}
