//! `[wallets]`: the verbs that move money and issue cards.

use crate::authorizer::moving::Bounds;
use crate::config;
use crate::domain::product::PanRange;
use crate::settings::Section;

const SECONDS_PER_DAY: u32 = 86_400;

/// `[wallets]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WalletSettings {
    /// What verbs are bounded by.
    pub bounds: Bounds,
    /// Where the numbers of cards begin that are issued without one being given. Empty: none is generated.
    pub card_ranges: Vec<PanRange>,
    /// How many digits they have.
    pub card_digits: u8,
}

impl Default for WalletSettings {
    fn default() -> Self {
        Self { bounds: Bounds::default(), card_ranges: Vec::new(), card_digits: 16 }
    }
}

impl WalletSettings {
    pub(super) fn read(section: Option<Section<'_>>) -> Self {
        let mut wallets = Self::default();
        let Some(section) = section else { return wallets };
        let many = 1..=2_000_000_000;
        let read = |key, range, default| config::integer_or(&section, key, range, default);
        let bounds = &mut wallets.bounds;
        bounds.key_window_s = read("key_window_s", 1..=31 * SECONDS_PER_DAY, bounds.key_window_s);
        bounds.keys_max = read("keys_max", many.clone(), bounds.keys_max as u32).into();
        let refund_days = read("refund_days", 1..=400, bounds.refund_window_s / SECONDS_PER_DAY);
        bounds.refund_window_s = refund_days * SECONDS_PER_DAY;
        bounds.payments_max = read("payments_max", many.clone(), bounds.payments_max as u32).into();
        bounds.mandates_max = read("mandates_max", many, bounds.mandates_max as u32).into();
        wallets.card_digits = read("card_digits", 13..=19, 16) as u8;
        for text in section.texts("card_ranges") {
            let range = PanRange::of_text(text);
            match range.filter(|range| range.number(0, wallets.card_digits).is_some()) {
                Some(range) => wallets.card_ranges.push(range),
                None => section.report_at(
                    "card_ranges",
                    format!(
                        "\"{text}\" is no range such as \"411111\" that leaves room in {} digits",
                        wallets.card_digits
                    ),
                ),
            }
        }
        section.finish();
        wallets
    }
}
