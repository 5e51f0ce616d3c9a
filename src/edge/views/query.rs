//! What is asked for behind the question mark: read strictly, and never repeated, since it may be a card number.

use axum::extract::Query;
use axum::http::Uri;

use crate::domain::event::Sequence;
use crate::domain::time::Timestamp;
use crate::edge::verbs::problem::Problem;
use crate::edge::views::time_of;

/// A point in what has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Point {
    /// A record.
    Record(Sequence),
    /// Everything before this time.
    Time(Timestamp),
}

/// Names with their values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Asked(Vec<(String, String)>);

impl Asked {
    /// Reads a query in which only these names may stand, each once.
    pub(super) fn of(uri: &Uri, names: &[&str]) -> Result<Self, Problem> {
        let pairs: Query<Vec<(String, String)>> = Query::try_from_uri(uri)
            .map_err(|_| Problem::malformed("what stands behind the `?` is no list of names and values"))?;
        let pairs = pairs.0;
        let listed = || names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        if pairs.iter().any(|(name, _)| !names.contains(&name.as_str())) {
            return Err(Problem::malformed(format!("what may be asked by is {}", listed())));
        }
        let twice = |name: &&&str| pairs.iter().filter(|(asked, _)| asked == **name).count() > 1;
        match names.iter().find(twice) {
            Some(name) => Err(Problem::malformed(format!("`{name}` is there twice"))),
            None => Ok(Self(pairs)),
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(asked, _)| asked == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let number =
            |text: &str| text.parse().map_err(|_| Problem::malformed(format!("`{name}` is a number")));
        self.text(name).map(number).transpose()
    }

    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let time = |text| {
            let words = format!("`{name}` is a time, as in 2026-11-29T18:00:00Z");
            time_of(text).ok_or_else(|| Problem::malformed(words))
        };
        self.text(name).map(time).transpose()
    }

    /// A record by its number, or a time.
    pub(super) fn point(&self, name: &str) -> Result<Option<Point>, Problem> {
        let point = |text: &str| {
            let record = text.parse().ok().map(|record| Point::Record(Sequence(record)));
            let words = format!("`{name}` is a record's number, or a time, as in 2026-11-29T18:00:00Z");
            record.or_else(|| time_of(text).map(Point::Time)).ok_or_else(|| Problem::malformed(words))
        };
        self.text(name).map(point).transpose()
    }

    /// How many are wanted.
    pub(super) fn limit(&self, usual: usize, most: usize) -> Result<usize, Problem> {
        let Some(limit) = self.number("limit")? else { return Ok(usual) };
        let limit = usize::try_from(limit).ok().filter(|limit| (1..=most).contains(limit));
        limit.ok_or_else(|| Problem::malformed(format!("`limit` is 1 to {most}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["from", "limit", "as_of_time"];

    fn asked(query: &str) -> Result<Asked, Problem> {
        Asked::of(&format!("/x?{query}").parse().expect("an address"), NAMES)
    }

    #[test]
    fn what_is_asked_is_read() {
        let all = asked("from=2026-11-29T18%3A00%3A00.5Z&limit=7").expect("a right query");
        let time = Timestamp(1_795_975_200_500_000_000);
        assert_eq!(all.point("from").expect("a point"), Some(Point::Time(time)));
        assert_eq!(all.limit(50, 100).expect("a limit"), 7);
        assert_eq!(asked("").expect("nothing").limit(50, 100).expect("a limit"), 50);
        let record = asked("from=12").expect("a right query").point("from").expect("a point");
        assert_eq!(record, Some(Point::Record(Sequence(12))));
    }

    #[test]
    fn what_cannot_be_read_is_told_without_what_stood_there() {
        let table = [
            ("pan=4111111111111111", "`from`, `limit`, `as_of_time`"),
            ("from=1&from=2", "`from` is there twice"),
            ("from=4111-1111-1111-1111", "a record's number, or a time"),
            ("limit=0", "1 to 100"),
            ("limit=101", "1 to 100"),
            ("limit=-1", "a number"),
            ("as_of_time=4111111111111111", "a time, as in"),
            ("as_of_time=1960-01-01T00:00:00Z", "a time, as in"),
        ];
        for (query, words) in table {
            let read = asked(query).and_then(|asked| {
                asked.point("from")?;
                asked.time("as_of_time")?;
                asked.limit(50, 100)
            });
            let problem = read.expect_err("a wrong query");
            assert_eq!(problem.name, "malformed");
            assert!(
                problem.detail.contains(words) && !problem.detail.contains("1111"),
                "{query}: {problem:?}"
            );
        }
    }
}
