use std::fmt;
use std::str::FromStr;

use super::Request;
use super::path::decode;
use crate::error::{ApiError, Code};

/// The parameters of a request's query. Those that a route does not ask for do not matter.
pub struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// The query of a request.
    pub fn of(request: &'a Request) -> Self {
        Self(&request.query)
    }

    /// Whether it has `name=true`.
    ///
    /// # Errors
    /// The parameter has another value than `true` or `false`, or several.
    pub fn flag(&self, name: &'static str) -> Result<bool, ApiError> {
        match self.text(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            _ => Err(refuse(name, format!("{name} must be true or false"))),
        }
    }

    /// A parameter that the type accepts, if it is there.
    ///
    /// # Errors
    /// The type refuses it, or it is there several times.
    pub fn get<T: FromStr<Err: fmt::Display>>(&self, name: &'static str) -> Result<Option<T>, ApiError> {
        self.get_by(name, str::parse)
    }

    /// A parameter that `parse` accepts, if it is there.
    ///
    /// # Errors
    /// `parse` refuses it, or it is there several times.
    pub fn get_by<T, E: fmt::Display>(
        &self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ApiError> {
        self.text(name)?.map(|text| parse(&text).map_err(|error| refuse(name, error))).transpose()
    }

    /// As forms encode it: a space may be a `+`.
    fn text(&self, name: &'static str) -> Result<Option<String>, ApiError> {
        let pairs = self.0.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let mut values = pairs.filter_map(|(given, value)| (given == name).then_some(value));
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(refuse(name, format!("{name} must not be there twice")));
        }
        let value = value.replace('+', " ");
        match decode(&value) {
            Ok(text) => Ok(Some(text.into_owned())),
            Err(_) => Err(refuse(name, format!("{name} must be percent-encoded UTF-8"))),
        }
    }
}

fn refuse(name: &'static str, message: impl ToString) -> ApiError {
    ApiError::invalid(name, Code::InvalidRequest, message)
}
