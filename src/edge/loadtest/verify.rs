//! Compares the daemon's money with the model's, over HTTP: wallets one by one, and the totals of all.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::Value;

use crate::edge::loadtest::http::Http;
use crate::edge::loadtest::http::HttpError;
use crate::workload::acquirer::Acquirer;
use crate::workload::population::Population;

/// Differences that are told in words.
const TOLD_MAX: usize = 20;

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Comparison {
    /// Wallets that were compared.
    pub wallets: u64,
    /// Wallets that are in the population.
    pub of_wallets: u64,
    /// Accounts and totals that differ.
    pub differences: u64,
    /// The first of them in words.
    pub told: Vec<String>,
    /// The daemon's sequence when its totals were read.
    pub sequence: u64,
}

impl Comparison {
    fn differs(&mut self, words: String) {
        self.differences += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(words);
        }
    }
}

/// Posted and held of one account, minor units.
type State = (i128, i128);

/// The daemon's money before the run.
#[derive(Debug)]
pub(super) struct Before {
    http: Http,
    /// By wallet and account number.
    accounts: BTreeMap<(u64, u64), State>,
    wallets: Vec<u64>,
    of_wallets: u64,
    /// By currency: all wallets' posted and held.
    totals: BTreeMap<String, State>,
}

impl Before {
    pub(super) async fn read(
        address: SocketAddr,
        population: &Population,
        most: usize,
        seed: u64,
    ) -> Result<Self, HttpError> {
        let mut http = Http::connect(address).await?;
        let mut all: Vec<u64> = population.accounts().iter().map(|account| account.wallet.0).collect();
        all.dedup();
        let of_wallets = all.len() as u64;
        let step = all.len().div_ceil(most.max(1)).max(1);
        let wallets: Vec<u64> = all.into_iter().skip(seed as usize % step).step_by(step).collect();
        let mut accounts = BTreeMap::new();
        for wallet in &wallets {
            read_wallet(&mut http, *wallet, &mut accounts).await?;
        }
        let page = http.get("/v1/audit/balance").await?;
        let mut ignored = Comparison::default();
        let totals = read_totals(&page, &mut ignored);
        Ok(Self { http, accounts, wallets, of_wallets, totals })
    }

    /// Compares what changed since with what the model says. `moved` is what other wallets have more in dollars.
    pub(super) async fn compare(mut self, acquirer: &Acquirer, moved: i128) -> Result<Comparison, HttpError> {
        let mut found = Comparison {
            wallets: self.wallets.len() as u64,
            of_wallets: self.of_wallets,
            ..Comparison::default()
        };
        let mut now = BTreeMap::new();
        // The first request may meet a connection that the daemon closed while it was idle.
        if self.http.get("/v1/audit/balance").await.is_err() {
            self.http = Http::connect(self.http.address()).await?;
        }
        for wallet in &self.wallets {
            read_wallet(&mut self.http, *wallet, &mut now).await?;
        }
        let page = self.http.get("/v1/audit/balance").await?;
        found.sequence = page["sequence"].as_u64().unwrap_or(0);
        let totals = read_totals(&page, &mut found);
        let mut expected = self.totals;
        if moved != 0 {
            expected.entry("840".to_owned()).or_default().0 += moved;
        }
        for (account, (posted, held)) in acquirer.population().accounts().iter().zip(acquirer.model().money())
        {
            let (posted, held) = (i128::from(posted), i128::from(held));
            let total = expected.entry(account.currency.to_string()).or_default();
            (total.0, total.1) = (total.0 + posted, total.1 + held);
            let key = (account.wallet.0, u64::from(account.number));
            let Some(before) = self.accounts.get(&key) else { continue };
            let should = (before.0 + posted, before.1 + held);
            match now.get(&key) {
                Some(is) if *is == should => {}
                Some(is) => found.differs(format!(
                    "wallet {} account {}: posted {} held {}, the answers say {} and {}",
                    key.0, key.1, is.0, is.1, should.0, should.1
                )),
                None => found.differs(format!("wallet {} account {} is gone", key.0, key.1)),
            }
        }
        for (currency, should) in expected {
            let is = totals.get(&currency).copied().unwrap_or_default();
            if is != should {
                found.differs(format!(
                    "all wallets in {currency}: posted {} held {}, the answers say {} and {}",
                    is.0, is.1, should.0, should.1
                ));
            }
        }
        Ok(found)
    }
}

async fn read_wallet(
    http: &mut Http,
    wallet: u64,
    accounts: &mut BTreeMap<(u64, u64), State>,
) -> Result<(), HttpError> {
    let page = match http.get(&format!("/v1/wallets/{wallet}")).await {
        // The daemon was given another seed file; the comparison shows it.
        Err(HttpError::Status { status: 404, .. }) => return Ok(()),
        page => page?,
    };
    for account in page["accounts"].as_array().into_iter().flatten() {
        let number = |name: &str| account[name].as_i64().map(i128::from);
        if let (Some(place), Some(posted), Some(held)) =
            (account["account"].as_u64(), number("posted"), number("held"))
        {
            accounts.insert((wallet, place), (posted, held));
        }
    }
    Ok(())
}

/// Sums by currency; what does not add up to zero is a difference.
fn read_totals(page: &Value, found: &mut Comparison) -> BTreeMap<String, State> {
    let mut totals = BTreeMap::new();
    for row in page["currencies"].as_array().into_iter().flatten() {
        let number = |name: &str| row[name].as_str().and_then(|text| text.parse::<i128>().ok());
        let currency = row["currency"].as_str().unwrap_or_default().to_owned();
        match (number("wallets"), number("held"), number("sum")) {
            (Some(posted), Some(held), Some(sum)) => {
                if sum != 0 {
                    found.differs(format!("the books in {currency} add up to {sum} and not to zero"));
                }
                totals.insert(currency, (posted, held));
            }
            _ => found.differs(format!("the totals in {currency} cannot be read")),
        }
    }
    totals
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn books_that_do_not_add_up_are_a_difference() {
        let row = |sum: &str| json!({ "currency": "840", "wallets": "5", "held": "1", "sum": sum });
        for (sum, differences) in [("0", 0), ("1", 1), ("-1", 1), ("x", 1)] {
            let mut found = Comparison::default();
            let totals = read_totals(&json!({ "currencies": [row(sum)] }), &mut found);
            assert_eq!(found.differences, differences, "{sum}");
            assert_eq!(totals.get("840").copied(), (sum != "x").then_some((5, 1)));
        }
    }
}
