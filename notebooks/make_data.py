"""Makes the synthetic hospital that the notebooks work on.

Nobody in it exists. It is realistic where that matters for a guard: valid check digits in card
numbers and IBANs, social security numbers in assigned areas, free text that mentions people in
passing, correlations worth an analysis, and gaps. The same seed gives the same bytes.

    python make_data.py                      20,000 patients into ./data
    python make_data.py --rows 2000 --out /tmp/hospital
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import hospital_words as words

if TYPE_CHECKING:
    from collections.abc import Sequence

SEED = 20_261_123
PATIENTS = 20_000
VISITS_PER_PATIENT = 3.2
NOTES_PER_PATIENT = 0.6

#: The data is as of this day; ages and registrations never look at the clock.
TODAY = np.datetime64("2026-10-31")

Texts = np.ndarray[Any, np.dtype[np.object_]]


def make_patients(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Returns the patient register, one row a person.

    Args:
        rng: The source of all randomness.
        rows: Number of patients.
    """
    sex = rng.choice(["F", "M"], rows, p=[0.53, 0.47])
    first = np.where(sex == "F", pick(rng, words.FEMALE_NAMES, rows), pick(rng, words.MALE_NAMES, rows))
    last = pick(rng, words.LAST_NAMES, rows)
    age = np.clip(rng.normal(54, 21, rows), 0.5, 98)
    born = TODAY - (age * 365.25).astype("timedelta64[D]")
    registered = TODAY - rng.integers(30, 3650, rows).astype("timedelta64[D]")
    registered = np.maximum(registered, born)
    city = rng.choice(len(words.CITIES), rows, p=[share for _, share, _ in words.CITIES])
    city_name = np.array([name for name, _, _ in words.CITIES], object)[city]
    prefix = np.array([prefix for _, _, prefix in words.CITIES])[city]
    number = rng.integers(1, 1900, rows).astype(str).astype(object)
    street = pick(rng, words.STREET_NAMES, rows) + " " + pick(rng, words.STREET_KINDS, rows)
    name = first + " " + last
    frame = pd.DataFrame(
        {
            "mrn": [f"HV{n:07d}" for n in rng.permutation(rows * 9)[:rows] + 1_000_000],
            "name": name,
            "sex": sex,
            "date_of_birth": np.datetime_as_string(born, unit="D"),
            "ssn": social_security_numbers(rng, rows),
            "email": e_mail_addresses(rng, first, last),
            "phone": phone_numbers(rng, rows),
            "address": number + " " + street,
            "city": city_name,
            "postcode": [f"{p}{s:02d}" for p, s in zip(prefix, rng.integers(0, 60, rows), strict=True)],
            "insurance_iban": ibans(rng, rows),
            "card_number": card_numbers(rng, rows),
            "blood_group": rng.choice(
                ["O+", "A+", "B+", "AB+", "O-", "A-", "B-", "AB-"],
                rows,
                p=[0.38, 0.34, 0.09, 0.03, 0.07, 0.06, 0.02, 0.01],
            ),
            "consent_research": rng.random(rows) < 0.81,
            "registered_at": np.datetime_as_string(registered, unit="D"),
        }
    )
    for column, share in {"email": 0.08, "phone": 0.03, "insurance_iban": 0.2, "card_number": 0.35}.items():
        frame.loc[rng.random(rows) < share, column] = None
    return frame


def make_visits(rng: np.random.Generator, patients: pd.DataFrame, rows: int) -> pd.DataFrame:
    """Returns hospital visits with measurements, an outcome worth predicting, and costs.

    Readmission depends on age, HbA1c, smoking, length of stay and earlier visits, through a
    logistic model with noise, so that a classifier can learn it but not perfectly.

    Args:
        rng: The source of all randomness.
        patients: The register; visits refer to its ``mrn``.
        rows: Number of visits.
    """
    born_all = patients["date_of_birth"].to_numpy().astype("datetime64[D]")
    person, day = _who_and_when(rng, born_all, rows)
    born = born_all[person]
    age = ((day - born) / np.timedelta64(1, "D") / 365.25).clip(0)
    female = (patients["sex"].to_numpy() == "F")[person]
    ward = _wards(rng, age, female)
    ward_names = np.array(list(words.WARDS), object)
    _, _, median_stay, day_rate, codes = zip(*words.WARDS.values(), strict=True)

    # A person's habits and build stay the same from visit to visit.
    build = rng.normal(0, 1, len(patients))[person]
    smokes = (rng.random(len(patients)) < 0.21)[person] & (age >= 16)
    bmi = np.clip(26.5 + 4.3 * build + 0.02 * (age - 50) + rng.normal(0, 0.7, rows), 14, 58)
    endocrine = ward_names[ward] == "Endocrinology"
    diabetic = rng.random(len(patients))[person] < logistic(-3.1 + 0.11 * (bmi - 26) + 0.02 * (age - 50))
    hba1c = np.clip(5.3 + 0.012 * (age - 40) + 1.9 * (diabetic | endocrine) + rng.normal(0, 0.5, rows), 4, 15)
    systolic = 112 + 0.42 * (age - 35) + 0.9 * (bmi - 26) + 5 * smokes + rng.normal(0, 12, rows)
    systolic = np.clip(systolic, 78, 235)
    stay_scale = np.array(median_stay)[ward] * (1 + 0.006 * (age - 55))
    stay = np.clip(stay_scale * rng.lognormal(0, 0.55, rows), 0.2, 90)
    earlier = pd.Series(person).groupby(person).cumcount().to_numpy()
    risk = logistic(
        -3.0 + 0.022 * (age - 55) + 0.42 * (hba1c - 6) + 0.55 * smokes + 0.07 * (stay - 4) + 0.24 * earlier
    )
    cost = np.array(day_rate)[ward] * (0.6 + stay) * rng.lognormal(0, 0.18, rows)
    frame = pd.DataFrame(
        {
            "visit_id": [f"V{n:08d}" for n in range(1, rows + 1)],
            "mrn": patients["mrn"].to_numpy()[person],
            "admitted_at": day.astype("datetime64[s]")
            + rng.integers(0, 86_400, rows).astype("timedelta64[s]"),
            "ward": ward_names[ward],
            "age_at_visit": np.floor(age).astype("int16"),
            "systolic_bp": np.rint(systolic),
            "bmi": bmi.round(1),
            "hba1c": hba1c.round(1),
            "smoker": smokes,
            "diagnosis_code": np.array(codes, object)[ward, rng.integers(0, 5, rows)],
            "earlier_visits": earlier.astype("int16"),
            "length_of_stay_days": stay.round(1),
            "readmitted_30d": rng.random(rows) < risk,
            "cost": cost.round(2),
        }
    )
    for column, share in {"systolic_bp": 0.03, "bmi": 0.05, "hba1c": 0.18}.items():
        frame.loc[rng.random(rows) < share, column] = np.nan
    return frame


def make_notes(
    rng: np.random.Generator, patients: pd.DataFrame, visits: pd.DataFrame, rows: int
) -> list[dict[str, str]]:
    """Returns clinical notes: free text that names people and how to reach them, in passing.

    Args:
        rng: The source of all randomness.
        patients: The register.
        visits: The visits; each note belongs to one.
        rows: Number of notes.
    """
    visit = visits.iloc[np.sort(rng.choice(len(visits), rows, replace=rows > len(visits)))]
    person = patients.set_index("mrn").loc[visit["mrn"]]
    parts = [
        pick(rng, choices, rows)
        for choices in (
            words.NOTE_OPENINGS,
            words.NOTE_MIDDLES,
            words.NOTE_CONTACTS,
            words.NOTE_ENDINGS,
            words.NOTE_AUTHORS,
        )
    ]
    notes = []
    columns = zip(
        visit.to_dict("records"), person.to_dict("records"), *parts, strict=True
    )
    for number, (seen, who, opening, middle, contact, ending, author) in enumerate(columns, 1):
        template = " ".join(part for part in (opening, middle, contact, ending) if part)
        pressure = seen["systolic_bp"]
        text = template.format(
            name=who["name"],
            title="Mrs" if who["sex"] == "F" else "Mr",
            last=who["name"].rpartition(" ")[2],
            mrn=seen["mrn"],
            age=seen["age_at_visit"],
            ward=seen["ward"],
            date=seen["admitted_at"].strftime("%d %b %Y"),
            dob=who["date_of_birth"],
            bp="not taken" if np.isnan(pressure) else f"{pressure:.0f}/{pressure * 0.62:.0f}",
            phone=_or(who["phone"], "the ward's number"),
            email=_or(who["email"], "the practice"),
            address=who["address"],
            city=who["city"],
            ssn=who["ssn"],
        )
        notes.append(
            {
                "note_id": f"N{number:07d}",
                "visit_id": seen["visit_id"],
                "mrn": seen["mrn"],
                "written_at": seen["admitted_at"].strftime("%Y-%m-%d"),
                "author_role": author,
                "text": text,
            }
        )
    return notes


def pick(rng: np.random.Generator, choices: Sequence[str], rows: int) -> Texts:
    """Returns ``rows`` of ``choices`` with replacement; the earlier ones are somewhat more common."""
    weight = 1 / (np.arange(len(choices)) + 25.0)
    return np.array(choices, object)[rng.choice(len(choices), rows, p=weight / weight.sum())]


def social_security_numbers(rng: np.random.Generator, rows: int) -> list[str]:
    """Returns distinct numbers as the Social Security Administration could have issued them."""
    areas = np.array([a for a in range(1, 900) if a != 666])
    codes = rng.choice(len(areas) * 99 * 9999, rows, replace=False, shuffle=True)
    area, rest = np.divmod(codes, 99 * 9999)
    group, serial = np.divmod(rest, 9999)
    triples = zip(areas[area], group + 1, serial + 1, strict=True)
    return [f"{a:03d}-{g:02d}-{s:04d}" for a, g, s in triples]


def phone_numbers(rng: np.random.Generator, rows: int) -> list[str]:
    """Returns numbers of the 555-01xx block; distinct until every area code is used up."""
    total = len(words.AREA_CODES) * 100
    codes = rng.permutation(total)[np.arange(rows) % total]
    style = rng.choice(3, rows, p=[0.6, 0.25, 0.15])
    formats = ("({0}) 555-01{1:02d}", "{0}-555-01{1:02d}", "+1 {0} 555 01{1:02d}")
    return [
        formats[s].format(words.AREA_CODES[c // 100], c % 100)
        for s, c in zip(style, codes, strict=True)
    ]


def e_mail_addresses(rng: np.random.Generator, first: Texts, last: Texts) -> list[str]:
    """Returns addresses in domains reserved for examples; a number keeps most of them distinct."""
    rows = len(first)
    number = rng.integers(1, 9999, rows)
    domain = pick(rng, words.EMAIL_DOMAINS, rows)
    return [
        f"{f.lower()}.{n.lower()}{k}@{d}"
        for f, n, k, d in zip(first, last, number, domain, strict=True)
    ]


def card_numbers(rng: np.random.Generator, rows: int) -> list[str]:
    """Returns 16-digit card numbers whose last digit is right by Luhn's rule."""
    digits = rng.integers(0, 10, (rows, 16))
    visa = rng.random(rows) < 0.6
    digits[:, 0] = np.where(visa, 4, 5)
    digits[:, 1] = np.where(visa, digits[:, 1], rng.integers(1, 6, rows))
    doubled = digits[:, 0:15:2] * 2
    doubled -= 9 * (doubled > 9)
    total = doubled.sum(1) + digits[:, 1:15:2].sum(1)
    digits[:, 15] = -total % 10
    texts = (digits + ord("0")).astype(np.uint8).tobytes().decode()
    grouped = rng.random(rows) < 0.5
    cards = [texts[i * 16 : i * 16 + 16] for i in range(rows)]
    return [
        f"{c[:4]} {c[4:8]} {c[8:12]} {c[12:]}" if g else c for c, g in zip(cards, grouped, strict=True)
    ]


def ibans(rng: np.random.Generator, rows: int) -> list[str]:
    """Returns German, Dutch and British account numbers with right ISO 7064 check digits."""
    country = rng.choice(3, rows, p=[0.6, 0.2, 0.2])
    digits = rng.integers(10**13, 10**14, rows)
    more = rng.integers(10**3, 10**4, rows)
    bodies = [
        (("DE", f"{d}{m}"), ("NL", f"INGB{d % 10**10:010d}"), ("GB", f"BARC{d}"))[c]
        for c, d, m in zip(country, digits, more, strict=True)
    ]
    return [f"{land}{_check_digits(land, body):02d}{body}" for land, body in bodies]


def logistic(x: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Returns the probability that belongs to log odds ``x``."""
    return 1 / (1 + np.exp(-x))


def write(out: Path, patients: int, seed: int = SEED) -> dict[str, int]:
    """Writes the three files and returns their row counts.

    Args:
        out: Directory; made when it does not exist.
        patients: Number of patients; visits and notes follow from it.
        seed: Seed of the generator.
    """
    rng = np.random.default_rng(seed)
    register = make_patients(rng, patients)
    visits = make_visits(rng, register, round(patients * VISITS_PER_PATIENT))
    notes = make_notes(rng, register, visits, round(patients * NOTES_PER_PATIENT))
    out.mkdir(parents=True, exist_ok=True)
    register.to_csv(out / "patients.csv", index=False, lineterminator="\n")
    table = pa.Table.from_pandas(visits, preserve_index=False).replace_schema_metadata(None)
    pq.write_table(table, out / "visits.parquet", compression="zstd")
    lines = (json.dumps(note, ensure_ascii=False) for note in notes)
    (out / "notes.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return {
        "patients.csv": len(register),
        "visits.parquet": len(visits),
        "notes.jsonl": len(notes),
    }


def _who_and_when(
    rng: np.random.Generator, born: np.ndarray[Any, Any], rows: int
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Returns patient and day of each visit in time order; old people come more often."""
    years = ((TODAY - born) / np.timedelta64(1, "D")) / 365.25
    frailty = rng.gamma(1.4, 1.0, len(born)) * (0.35 + years / 60)
    person = rng.choice(len(born), rows, p=frailty / frailty.sum())
    day = TODAY - rng.integers(0, 3 * 365, rows).astype("timedelta64[D]")
    day = np.maximum(day, born[person])
    order = np.argsort(day, kind="stable")
    return person[order], day[order]


def _wards(
    rng: np.random.Generator, age: np.ndarray[Any, Any], female: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Returns a ward for each visit, by how well age and sex fit it."""
    share, centre = (np.array(values) for values in list(zip(*words.WARDS.values(), strict=True))[:2])
    fit = share * np.exp(-(((age[:, None] - centre) / 24) ** 2))
    maternity = list(words.WARDS).index("Maternity")
    fertile = female & (age >= 16) & (age <= 46)
    fit[:, maternity] = np.where(fertile, 1.6 * share[maternity], 0)
    emergency = list(words.WARDS).index("Emergency")
    fit[:, emergency] = np.maximum(fit[:, emergency], 0.06)  # anybody, at any age
    cumulative = np.cumsum(fit / fit.sum(1, keepdims=True), axis=1)
    chosen = (rng.random(len(age))[:, None] > cumulative).sum(1)
    return np.minimum(chosen, len(words.WARDS) - 1)


def _check_digits(country: str, body: str) -> int:
    text = "".join(str(int(character, 36)) for character in f"{body}{country}00")
    return 98 - int(text) % 97


def _or(value: object, otherwise: str) -> str:
    return value if isinstance(value, str) else otherwise


def main() -> None:
    """Writes the data and says what was written."""
    parser = argparse.ArgumentParser(description="Make the synthetic hospital.")
    parser.add_argument("--rows", type=int, default=PATIENTS, help="number of patients")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "data", help="directory")
    parser.add_argument("--seed", type=int, default=SEED, help="same seed, same bytes")
    arguments = parser.parse_args()
    if arguments.rows < 1:
        parser.error("--rows must be at least 1")
    for name, rows in write(arguments.out, arguments.rows, arguments.seed).items():
        print(f"{arguments.out / name}: {rows:,} rows")


if __name__ == "__main__":
    main()
