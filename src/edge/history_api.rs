//! `GET /v1/history`: authorizations that have left memory, page by page, as those in memory are shown.

use std::sync::Arc;

use axum::Json;
use axum::extract::RawQuery;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::response::Response;
use serde_json::Value;
use serde_json::json;

use crate::dialect::describe::shown;
use crate::domain::card::CardRef;
use crate::domain::event::Sequence;
use crate::domain::request::ApprovalCode;
use crate::domain::request::Stan;
use crate::domain::time::days_from_civil;
use crate::edge::api;
use crate::edge::api::Face;
use crate::edge::api::error;
use crate::edge::disk::Disk;
use crate::edge::history::Keeper;
use crate::history::entry::Day;
use crate::history::entry::Entry;
use crate::history::error::HistoryError;
use crate::history::index::History;
use crate::history::search::Cursor;
use crate::history::search::Limit;
use crate::history::search::Search;

/// Most authorizations of one page, and as many unless it is asked for less.
const PAGE_MAX: usize = 200;
const PAGE: usize = 50;
/// Most blocks that are read for one page: 16 MiB, while look-ups for messages wait.
const BLOCKS_MAX: u64 = 1_024;

/// What is asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Question {
    card: Option<CardRef>,
    search: Search,
    days: Option<(Day, Day)>,
    after: Option<After>,
    limit: usize,
}

/// Where a page goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum After {
    /// Of a card: what was made before this record.
    Before(Sequence),
    Cursor(Cursor),
}

/// A page, and where the next one goes on.
type Page = (Vec<Entry>, Option<After>);

/// Answers a search.
pub(super) async fn search(State(face): State<Arc<Face>>, RawQuery(query): RawQuery) -> Response {
    let question = match question(query.as_deref().unwrap_or_default()) {
        Ok(question) => question,
        Err(words) => return error(StatusCode::BAD_REQUEST, words),
    };
    let Some(past) = face.history.get().and_then(Keeper::past).cloned() else {
        return error(StatusCode::SERVICE_UNAVAILABLE, "there is no history; see /readyz");
    };
    // It may take as long as the disk does.
    let read = tokio::task::spawn_blocking(move || past.read(|history| page(history, &question)));
    match read.await {
        Ok(Ok((entries, next))) => {
            let shown = |entry: &Entry| {
                let view = face.pipeline.older_view(entry.card, &entry.authorization);
                api::authorization_json(&view)
            };
            let list: Vec<Value> = entries.iter().map(shown).collect();
            Json(json!({ "authorizations": list, "next": next.map(text_of) })).into_response()
        }
        Ok(Err(failed)) => error(StatusCode::SERVICE_UNAVAILABLE, failed.to_string()),
        Err(_) => error(StatusCode::SERVICE_UNAVAILABLE, "the search did not end"),
    }
}

fn page(history: &History<Disk>, question: &Question) -> Result<Page, HistoryError> {
    let limit = Limit { entries: question.limit, blocks: BLOCKS_MAX };
    if let Some(card) = question.card {
        let mut search = question.search.clone();
        if let Some(After::Before(before)) = question.after {
            search.made = Some(Sequence(0)..=Sequence(before.0.saturating_sub(1)));
        }
        let found = history.find(card, &search, limit)?;
        return Ok((found.entries, found.more_before.map(After::Before)));
    }
    let (first, last) = question.days.unwrap_or((Day(0), Day(u32::MAX)));
    let cursor = match question.after {
        Some(After::Cursor(cursor)) => Some(cursor),
        _ => None,
    };
    let found = history.search(&(first..=last), &question.search, cursor, limit)?;
    Ok((found.entries, found.next.map(After::Cursor)))
}

fn question(query: &str) -> Result<Question, String> {
    let mut question = Question { limit: PAGE, ..Question::default() };
    let (mut from, mut to) = (Day(0), Day(u32::MAX));
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("`{}` has no value", shown(pair)))?;
        // What came is not repeated: it may be a card number.
        let wrong = |what: &str| format!("`{}` is {what}", shown(key));
        let number = || value.parse::<u64>().map_err(|_| wrong("a number"));
        match key {
            "card" => question.card = Some(CardRef(number()?)),
            "stan" => {
                let stan = number()?.try_into().map_err(|_| wrong("six digits"))?;
                question.search.stan = Some(Stan(stan));
            }
            "rrn" => question.search.rrn = Some(text(value).ok_or_else(|| wrong("up to 12 characters"))?),
            "approval_code" => {
                let code = value.as_bytes().try_into().map_err(|_| wrong("six characters"))?;
                question.search.approval_code = Some(ApprovalCode(code));
            }
            "network_reference" => question.search.network_reference = Some(number()?),
            "amount" => {
                let amount = value.parse().map_err(|_| wrong("a number"))?;
                question.search.amount = Some(amount..=amount);
            }
            "from" => from = day(value).ok_or_else(|| wrong("a day such as 2026-11-29"))?,
            "to" => to = day(value).ok_or_else(|| wrong("a day such as 2026-11-29"))?,
            "limit" => {
                let limit = usize::try_from(number()?).ok().filter(|limit| (1..=PAGE_MAX).contains(limit));
                question.limit = limit.ok_or_else(|| wrong("1 to 200"))?;
            }
            "after" => question.after = Some(after_of(value).ok_or_else(|| wrong("what `next` was"))?),
            _ => return Err(format!("there is no `{}` to search by", shown(key))),
        }
    }
    question.days = Some((from, to));
    let fits = match question.after {
        Some(After::Before(_)) => question.card.is_some(),
        Some(After::Cursor(_)) => question.card.is_none(),
        None => true,
    };
    if fits { Ok(question) } else { Err("`after` is of another search".to_owned()) }
}

/// Twelve characters, filled up with spaces.
fn text(value: &str) -> Option<[u8; 12]> {
    let mut text = [b' '; 12];
    text.get_mut(..value.len())?.copy_from_slice(value.as_bytes());
    Some(text)
}

fn day(value: &str) -> Option<Day> {
    let mut parts = value.splitn(3, '-').map(|part| part.parse::<u32>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let is_date = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let days = is_date.then(|| days_from_civil(year as i32, month, day))?;
    u32::try_from(days).ok().map(Day)
}

fn text_of(after: After) -> String {
    match after {
        After::Before(before) => format!("r{}", before.0),
        After::Cursor(Cursor { day, after: None }) => format!("d{}", day.0),
        After::Cursor(Cursor { day, after: Some(after) }) => format!("d{}.{after:032x}", day.0),
    }
}

fn after_of(text: &str) -> Option<After> {
    if let Some(before) = text.strip_prefix('r') {
        return before.parse().ok().map(|before| After::Before(Sequence(before)));
    }
    let rest = text.strip_prefix('d')?;
    let (day, after) = match rest.split_once('.') {
        Some((day, after)) => (day, Some(u128::from_str_radix(after, 16).ok()?)),
        None => (rest, None),
    };
    Some(After::Cursor(Cursor { day: Day(day.parse().ok()?), after }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_read_or_refused_in_words() {
        let asked = question("card=7&stan=000123&rrn=AB&limit=9&after=r44").expect("a right query");
        assert_eq!((asked.card, asked.limit), (Some(CardRef(7)), 9));
        assert_eq!(asked.search.stan, Some(Stan(123)));
        assert_eq!(asked.search.rrn.as_ref(), Some(b"AB          "));
        assert_eq!(asked.after, Some(After::Before(Sequence(44))));
        let asked = question("from=1970-01-02&to=2026-11-29&amount=-5").expect("a right query");
        assert_eq!(asked.days, Some((Day(1), Day(20_786))));
        assert_eq!(asked.search.amount, Some(-5..=-5));
        let table = [
            ("card=x", "`card` is a number"),
            ("pan=4111111111111111", "there is no `pan`"),
            ("card=4111111111111111x", "`card` is a number"),
            ("card=4111-1111-1111-1111", "`card` is a number"),
            ("rrn=0123456789012", "up to 12"),
            ("approval_code=12", "six characters"),
            ("from=2026-13-01", "a day such as"),
            ("limit=0", "1 to 200"),
            ("limit=201", "1 to 200"),
            ("after=r5", "of another search"),
            ("card=5&after=d5", "of another search"),
            ("after=x", "what `next` was"),
            ("stan", "has no value"),
        ];
        for (query, words) in table {
            let refused = question(query).expect_err("a wrong query");
            assert!(refused.contains(words), "{query}: {refused}");
            assert!(!refused.contains("1111"), "what came is not repeated: {query}: {refused}");
        }
    }

    #[test]
    fn where_a_page_goes_on_comes_back() {
        let cursor = |after| After::Cursor(Cursor { day: Day(20_786), after });
        for after in [After::Before(Sequence(9)), cursor(None), cursor(Some(0)), cursor(Some(u128::MAX))] {
            assert_eq!(after_of(&text_of(after)), Some(after));
        }
    }
}
