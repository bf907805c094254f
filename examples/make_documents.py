# /// script
# requires-python = ">=3.11"
# dependencies = ["fpdf2>=2.8", "python-docx>=1.2"]
# ///
"""Writes the sample PDF and DOCX of examples/data from the text below: ``uv run examples/make_documents.py``.

Tidewell Ferries, its islands and its people are invented. The files are committed, so this is needed only to change them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import docx
from docx.document import Document
from fpdf import FPDF

DATA = Path(__file__).resolve().parent / "data"
WRITTEN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

HANDBOOK_TITLE = "Tidewell Ferries Crew Handbook"
HANDBOOK = """\
# Welcome aboard

Tidewell Ferries has carried people, post and sheep between Port Aldery and the four Sorrel Islands since 1926. We
run three ships: the Wagtail, the Sandpiper and the Old Margery, which sails in summer only.

About 140 people work for us, 96 of them on board. The office is at 4 Chandler's Quay, Port Aldery, and is open from
07:30 to 18:00 on weekdays. The crew line, 0555 0142, is answered at every hour of the day.

This handbook is for everyone who works on our ships and piers. Where it differs from your contract, your contract
counts. Ask your purser about anything that is unclear, or write to the crew office.

New crew members have a sea buddy for their first six weeks. The buddy signs off the twelve items of the boarding
card, from the muster list to the coffee machine, and neither of you sails alone before that.

# Working hours and rest

A normal duty is ten hours, with at least eleven hours of rest before the next one. Nobody works more than five
duties in any seven days, and nobody sails after a night duty without a full rest.

The roster for a month is published on the 18th of the month before. You may swap a duty with a colleague of the
same rank until 48 hours before it begins; the purser confirms the swap in the roster.

Time worked past the end of a duty is overtime, and it is paid at one and a half times the hourly rate. If fog or
weather keeps a ship out past midnight, the company pays for a room at the Lantern Inn.

Breaks are thirty minutes in every duty of more than six hours. They are taken in the mess, not on the car deck, and
the mate names who stands in.

| Duty | Begins | Ends
| Early | 05:15 | 15:15
| Late | 13:00 | 23:00
| Night post | 21:30 | 06:00

# Leave

Full-time crew have 31 days of paid annual leave, counted from April to March. Up to seven days can be carried into
the next year, and they lapse at the end of June.

Either parent of a newborn or adopted child has 18 weeks of parental leave on full pay. Tell the crew office ten
weeks ahead if you can; the leave may be split into three parts within the first two years.

If you are ill, ring the crew line at least two hours before your duty. A doctor's note is needed from the fourth
day. Sick pay is full pay for 12 weeks and half pay for 12 weeks after that.

There are five days of paid leave when a close relative dies, and two days for moving house. Volunteers of the
Sorrel lifeboat are released for every call-out without loss of pay.

# Safety on board

Every departure begins with the muster: count heads, check both rafts, test the deck radio on channel 12. The
Wagtail carries 212 passengers at most, the Sandpiper 148 and the Old Margery 60.

Lifejackets are worn on the open car deck at all times. The lockers hold adult jackets on the port side and
children's jackets, with yellow collars, on the starboard side.

The signal to abandon ship is seven short blasts and one long one. Go to your muster station, not to your cabin, and
take the passengers of your section with you.

Drills are held on the first Tuesday of the month. A drill that you missed is made good within ten days, or you do
not sail. Report near misses on the blue form; nobody is ever blamed for a blue form.

# Money, tickets and lost things

The till float is 150 crowns and is counted by two people at the start and at the end of each duty. A difference of
more than 5 crowns goes into the till book with both names.

Island residents travel at half fare with the green card. Children under six travel free. Crew and one companion
travel free on every sailing that is not full.

Refunds up to 40 crowns are given on board by the purser. Larger ones go to the office, which answers within nine
working days.

Lost things are labelled with ship, date and seat row and kept for 90 days in the store at Chandler's Quay.
Passports and keys are handed to the harbour police at the end of the same day.

# Training, clothing and growing here

Every crew member has a training budget of 900 crowns a year. It may be saved up for two years, and a mate's ticket
is paid for in full if you stay for 24 months after it.

You receive two jackets, four shirts and one pair of deck boots, and 120 crowns a year for whatever wears out
sooner. Boots have a closed heel and a sole marked with an anchor.

We talk about your year in November. The talk ends with one thing to learn, one thing to change and one thing that
the company owes you, and all three are written down.

After ten years of service you may name a bench on any of our five piers. The newest, on Little Sorrel, is called
Edda's Rest and faces west.
"""

STORM_TITLE = "Storm and Fog Procedure"
STORM = """\
# Who decides

The master of the ship decides whether she sails. Nobody in the office may overrule a master who stays in port. The
duty manager tells the piers within five minutes of the decision.

# Wind

At a steady wind of 28 knots the car deck is closed to motorcycles and high vans. All sailings are cancelled when
gusts reach 45 knots at the Gannet Rock station, and they resume when the gusts have stayed below 38 knots for one
hour.

The Old Margery stays in port from 24 knots, because she has no bow thruster.

# Fog

With less than 500 metres of sight the ship slows to eight knots and posts a lookout at the bow. With less than 150
metres no ship leaves a pier.

# What passengers are owed

A cancelled sailing is rebooked at no cost on any day of the following four weeks. Whoever is stranded overnight
gets a meal voucher of 18 crowns and a bed in the sports hall of Port Aldery.

# Levels at a glance

| Level | Gusts at Gannet Rock | What changes
| Green | below 28 knots | nothing
| Amber | 28 to 44 knots | no motorcycles, no high vans
| Red | 45 knots and more | no sailings
"""


@dataclass(frozen=True, slots=True)
class Chapter:
    """A heading, its paragraphs, and the rows of its table."""

    heading: str
    paragraphs: list[str]
    rows: list[list[str]]


def chapters(text: str) -> Iterator[Chapter]:
    """Cut a text at its headings; blocks stand between empty lines, a row of a table begins with a bar."""
    for chapter in text.removeprefix("# ").split("\n# "):
        heading, *blocks = chapter.strip().split("\n\n")
        paragraphs = [" ".join(block.split()) for block in blocks if not block.startswith("|")]
        rows = [row for block in blocks if block.startswith("|") for row in block.splitlines()]
        yield Chapter(heading, paragraphs, [[cell.strip() for cell in row.strip("| ").split("|")] for row in rows])


class Handbook(FPDF):  # type: ignore[misc]  # untyped where it is not installed
    """A4 pages with the title above and the page number below."""

    def header(self) -> None:
        """The line above each page."""
        self.set_font("Helvetica", "I", 9)
        self.cell(0, 8, HANDBOOK_TITLE, new_x="LMARGIN", new_y="NEXT")

    def footer(self) -> None:
        """The line below each page."""
        self.set_y(-18)
        self.set_font("Helvetica", "", 9)
        self.cell(0, 8, f"Page {self.page_no()}", align="C")


def write_handbook(path: Path) -> None:
    """One page a chapter, with a real text layer and an outline."""
    pdf = Handbook(format="A4")
    pdf.set_title(HANDBOOK_TITLE)
    pdf.set_author("Tidewell Ferries")
    pdf.set_creation_date(WRITTEN)
    pdf.set_margin(24)
    for number, chapter in enumerate(chapters(HANDBOOK), start=1):
        pdf.add_page()
        pdf.start_section(chapter.heading)
        pdf.set_font("Helvetica", "B", 18)
        pdf.cell(0, 16, f"{number}. {chapter.heading}", new_x="LMARGIN", new_y="NEXT")
        pdf.set_font("Helvetica", "", 11)
        for paragraph in chapter.paragraphs:
            pdf.multi_cell(0, 6, paragraph, align="L", new_x="LMARGIN", new_y="NEXT")
            pdf.ln(4)
        if chapter.rows:
            with pdf.table(rows=chapter.rows, width=110, align="LEFT"):
                pass
    pdf.output(str(path))


def write_storm_procedure(path: Path) -> None:
    """Headings, paragraphs and a table."""
    document = docx.Document()
    document.core_properties.title = STORM_TITLE
    document.core_properties.author = "Tidewell Ferries"
    document.core_properties.created = document.core_properties.modified = WRITTEN.replace(tzinfo=None)
    document.add_heading(STORM_TITLE, level=0)
    document.add_paragraph("Valid from 2 March 2026 for all ships and piers of Tidewell Ferries.")
    for chapter in chapters(STORM):
        document.add_heading(chapter.heading, level=1)
        for paragraph in chapter.paragraphs:
            document.add_paragraph(paragraph)
        if chapter.rows:
            _add_table(document, chapter.rows)
    document.save(str(path))


def _add_table(document: Document, rows: list[list[str]]) -> None:
    table = document.add_table(rows=0, cols=len(rows[0]))
    table.style = "Table Grid"
    for row in rows:
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text


if __name__ == "__main__":
    write_handbook(DATA / "crew-handbook.pdf")
    write_storm_procedure(DATA / "storm-procedure.docx")
