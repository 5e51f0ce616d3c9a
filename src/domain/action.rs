//! Why a request was approved or declined, in our own words. Each dialect maps these to its DE 39.

macro_rules! action_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// The outcome of a decision, one reason each, in no network's code.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum ActionCode {
            $($(#[$doc])* $name = $code,)*
        }

        impl ActionCode {
            /// Every code with its name in dialect tables, on the HTTP face and in metrics.
            pub const ALL: &[(Self, &str)] = &[$((Self::$name, $text),)*];

            /// The code of this number, as records keep it.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Its name in dialect tables, on the HTTP face and in metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

action_codes! {
    /// Approved for the whole amount.
    Approved = 0, "approved";
    /// Approved for a part of the amount (R12).
    ApprovedPartially = 1, "approved-partially";
    /// No reason to decline: the answer to an account verification (R16).
    NoReasonToDecline = 2, "no-reason-to-decline";
    /// The key of a request that was answered, with another processing code, amount or currency (R5).
    DuplicateTransmission = 20, "duplicate-transmission";
    /// A field that the decision needs is missing or makes no sense.
    FormatError = 21, "format-error";
    /// A transaction type that is not supported.
    InvalidTransaction = 22, "invalid-transaction";
    /// A message that is right, and asks for something that we do not do (a file update, 0302).
    FunctionNotSupported = 25, "function-not-supported";
    /// A zero or impossible amount.
    InvalidAmount = 23, "invalid-amount";
    /// Its reversal came first and left a tombstone (R4).
    ReversedBeforeArrival = 24, "reversed-before-arrival";
    /// Something that the card's product does not do: a token request (R16).
    NotPermitted = 26, "not-permitted";
    /// No card of ours has this number.
    UnknownCard = 30, "unknown-card";
    /// The card is blocked for a time.
    CardFrozen = 31, "card-frozen";
    /// The card was reported lost.
    CardLost = 32, "card-lost";
    /// The card was reported stolen.
    CardStolen = 33, "card-stolen";
    /// The card was closed.
    CardClosed = 34, "card-closed";
    /// The card's month is over, or the message names another month.
    CardExpired = 35, "card-expired";
    /// The wallet may not be used.
    WalletNotActive = 36, "wallet-not-active";
    /// The wallet has no account in the amount's currency.
    CurrencyNotHeld = 40, "currency-not-held";
    /// A control of the card or the wallet: not in this way.
    ChannelNotAllowed = 42, "channel-not-allowed";
    /// A control of the card or the wallet: not for merchants of this category.
    MccNotAllowed = 43, "mcc-not-allowed";
    /// A control of the card or the wallet: not in this country.
    CountryNotAllowed = 44, "country-not-allowed";
    /// A control of the card or the wallet: not in this currency.
    CurrencyNotAllowed = 45, "currency-not-allowed";
    /// A control of the card or the wallet: not at this merchant.
    MerchantNotAllowed = 46, "merchant-not-allowed";
    /// A control of the card or the wallet: this merchant may not ask by itself any more.
    RecurringStopped = 47, "recurring-stopped";
    /// A control of the card or the wallet: no merchant may ask by itself.
    AllRecurringStopped = 48, "all-recurring-stopped";
    /// A control of the card or the wallet: this merchant may not ask by itself for this amount.
    PaymentStopped = 49, "payment-stopped";
    /// A PIN came and nothing can verify it, though the card's product requires it (R28).
    PinNotVerifiable = 50, "pin-not-verifiable";
    /// A cryptogram came and nothing can verify it, though the card's product requires it (R28).
    CryptogramNotVerifiable = 51, "cryptogram-not-verifiable";
    /// Less is available than was asked for.
    InsufficientFunds = 60, "insufficient-funds";
    /// A limit of the card or the wallet would be passed by the amount.
    AmountLimitExceeded = 61, "amount-limit-exceeded";
    /// A limit of the card or the wallet would be passed by one more.
    CountLimitExceeded = 62, "count-limit-exceeded";
    /// We cannot take requests now: the journal is failing, full, or past its bounds (R2).
    Unavailable = 80, "unavailable";
    /// A table of ours is full, or something of ours failed.
    SystemMalfunction = 81, "system-malfunction";
}

impl ActionCode {
    /// Whether the cardholder gets what was asked for, or a part of it.
    #[must_use]
    pub const fn is_approval(self) -> bool {
        matches!(self, Self::Approved | Self::ApprovedPartially | Self::NoReasonToDecline)
    }

    /// The older code whose DE 39 is sent where a dialect's table does not know this one; `None` for a code that every
    /// table must have. A code that is added later names one, so that tables that were written before stay good.
    #[must_use]
    pub const fn falls_back_to(self) -> Option<Self> {
        match self {
            Self::ChannelNotAllowed
            | Self::MccNotAllowed
            | Self::CountryNotAllowed
            | Self::CurrencyNotAllowed
            | Self::MerchantNotAllowed
            | Self::RecurringStopped
            | Self::AllRecurringStopped
            | Self::PaymentStopped
            | Self::AmountLimitExceeded
            | Self::CountLimitExceeded => Some(Self::NotPermitted),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_one_to_one() {
        for (code, name) in ActionCode::ALL {
            assert_eq!(ActionCode::from_code(*code as u8), Some(*code));
            assert_eq!(code.name(), *name);
        }
        assert_eq!(ActionCode::from_code(255), None);
    }

    #[test]
    fn a_code_falls_back_to_one_that_every_table_has() {
        for older in ActionCode::ALL.iter().filter_map(|(code, _)| code.falls_back_to()) {
            assert_eq!(older.falls_back_to(), None);
            assert!(!older.is_approval());
        }
    }
}
