//! Tuples of a row's columns.

use super::Sqlite;
use crate::database::FromRow;
use rusqlite::types::FromSql;
use rusqlite::{Result, Row};

macro_rules! tuples_from_rows {
    ($($column:ident $number:tt),*) => {
        impl<$($column: FromSql),*> FromRow<Sqlite> for ($($column,)*) {
            fn from_row(row: &Row<'_>) -> Result<Self> {
                Ok(($(row.get::<_, $column>($number)?,)*))
            }
        }
    };
}

tuples_from_rows!(A 0);
tuples_from_rows!(A 0, B 1);
tuples_from_rows!(A 0, B 1, C 2);
tuples_from_rows!(A 0, B 1, C 2, D 3);
tuples_from_rows!(A 0, B 1, C 2, D 3, E 4);
tuples_from_rows!(A 0, B 1, C 2, D 3, E 4, F 5);
tuples_from_rows!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuples_from_rows!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuples_from_rows!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuples_from_rows!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuples_from_rows!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuples_from_rows!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
