//! Pages that promise more than their column or their bytes can hold are refused before anything is reserved for them.

use ::parquet::basic::Encoding;
use ::parquet::column::page::{Page, PageReader};
use ::parquet::errors::{ParquetError, Result};

/// The pages of a column chunk, each counted before it is given.
pub(super) struct Guarded {
    pages: Box<dyn PageReader>,
    /// How many levels the column chunk may still have.
    left: u64,
    /// Whether a dictionary came before.
    dictionary: bool,
}

impl Guarded {
    /// Guards the pages of a column chunk that declares this many levels.
    pub(super) fn new(pages: Box<dyn PageReader>, levels: u64) -> Self {
        Guarded { pages, left: levels, dictionary: false }
    }

    /// The next page, if there is one.
    pub(super) fn next_page(&mut self) -> Result<Option<Page>> {
        match self.pages.get_next_page()? {
            Some(page) => self.checked(page).map(Some),
            None => Ok(None),
        }
    }

    fn checked(&mut self, page: Page) -> Result<Page> {
        let known = match page.encoding() {
            Encoding::RLE_DICTIONARY => self.dictionary && page.is_data_page(),
            Encoding::DELTA_BINARY_PACKED => page.is_data_page(),
            other => other == Encoding::PLAIN,
        };
        if !known {
            let message = format!("a page is encoded as {}, which is not read", page.encoding());
            return Err(ParquetError::General(message));
        }
        self.dictionary |= page.is_dictionary_page();
        let promised = u64::from(page.num_values());
        // An entry of a dictionary takes four bytes at least: a number, or the length of a text.
        let most =
            if page.is_dictionary_page() { page.buffer().len() as u64 / 4 } else { self.left };
        if promised > most {
            let message = format!("a page promises {promised} values, and at most {most} fit");
            return Err(ParquetError::General(message));
        }
        if page.is_data_page() {
            self.left -= promised;
        }
        Ok(page)
    }
}
