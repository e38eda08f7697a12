"""Word lists for the synthetic hospital: names, streets, cities, wards, sentences.

All people are invented. Phone numbers use the 555-01xx block and e-mail addresses the example
domains, both reserved for fiction, so no line of the data can reach anybody.
"""

from __future__ import annotations

FEMALE_NAMES = tuple(
    """Abigail Adaeze Agnieszka Aiko Alice Amara Amelia Anjali Astrid Aylin Beatriz Bridget Camila
    Carmen Chiara Chloe Clara Daniela Deborah Divya Dolores Eleanor Elena Elif Emma Esther Farah
    Fatima Fiona Freya Gabriela Giulia Grace Hannah Harriet Helena Ines Ingrid Isabel Jasmine Joanna
    Johanna Judith Julia Katarzyna Keisha Kimberly Lakshmi Latoya Laura Leila Lena Linh Lucia
    Magdalena Margaret Maria Marisol Mei Melissa Miriam Monica Nadia Naomi Natalia Niamh Nicole Noor
    Olga Olivia Paloma Patricia Paula Priya Rachel Rebecca Renata Rosa Ruth Saoirse Sara Shanice
    Simone Sofia Soraya Susan Svetlana Tamara Teresa Thandiwe Ursula Valentina Vera Victoria Wanjiru
    Wilhelmina Yasmin Yolanda Yuki Zainab Zoe""".split()
)

MALE_NAMES = tuple(
    """Aaron Abdul Adrian Ahmed Akira Alejandro Anders Andrew Anthony Arjun Benjamin Bernard Bilal
    Brendan Carlos Cedric Charles Christopher Cristian Daniel Darnell David Dmitri Edward Emeka
    Emmanuel Enrique Eric Ethan Fabian Felix Fernando Finn Francis Gabriel George Giovanni Gregory
    Hamza Hans Harold Hassan Henry Hiroshi Hugo Ibrahim Ivan Jacob Jamal James Javier Jerome Joaquin
    Jonathan Jorge Joseph Julian Kareem Kenji Kevin Kofi Kwame Lars Lawrence Leonard Liam Lorenzo
    Lucas Luis Malik Marcus Martin Mateo Matthias Michael Miguel Mikhail Mohammed Nathaniel Nikolai
    Oliver Omar Oscar Pablo Patrick Pedro Peter Philip Rafael Rajesh Ramon Raymond Reza Ricardo
    Robert Rohan Samuel Santiago Sean Sergei Simon Stefan Tariq Terrence Thomas Timothy Tobias Tomasz
    Tyrone Victor Vikram Vincent Walter Wei William Xavier Yusuf""".split()
)

LAST_NAMES = tuple(
    """Abara Acheampong Adeyemi Aguilar Ahmadi Alvarado Andersson Aoki Appiah Ashworth Baczewski
    Balogun Banerjee Barrera Bautista Beaumont Becerra Bergstrom Bhattacharya Bianchi Blackwood
    Boateng Bogdanov Bouchard Brankovic Braithwaite Calderon Callahan Camacho Cardenas Carrington
    Castellano Cervantes Chakraborty Chaudhry Chevalier Christensen Cienfuegos Cunningham Dahlgren
    Delacroix Delgado Demir Diallo Dimitrov Dominguez Donnelly Dubois Echeverria Eklund Elkington
    Escobar Espinoza Estrada Etxeberria Fairweather Farahani Featherstone Fernandes Figueroa
    Fitzgerald Fontaine Forsberg Fujimoto Gallagher Galindo Ganguly Garibaldi Gebremariam Ghorbani
    Giordano Gopalakrishnan Gorecki Gustafsson Gutierrez Haddad Hagiwara Halvorsen Hamadi Haraldsen
    Hathaway Heidenreich Hernandez Hoffmann Holloway Huang Hussaini Ibarra Idowu Ilic Iwasaki Iyer
    Jankowski Jaramillo Jayawardena Jimenez Johansson Kalinowski Kaminski Karlsson Kaufmann Kavanagh
    Kimura Kipchoge Kobayashi Koroma Kovacs Kowalczyk Kruger Kulkarni Lachapelle Laurent Lefebvre
    Leszczynski Lindqvist Lombardi Lundgren MacAllister Madrigal Mahmoudi Malhotra Marchetti Marinescu
    Matsumoto Mbeki McAllister McCormick McLaughlin Medeiros Mendoza Mensah Michalski Mihailov Miyamoto
    Mokoena Montague Montoya Moravec Morales Mukherjee Murakami Nakamura Narayanan Navarro Ndiaye
    Nguyen Nikolaidis Nkrumah Novak Nwosu Obradovic Ocampo Oduya Okafor Okonkwo Olofsson Onyango
    Orellana Ortega Osei Owusu Ozturk Pacheco Palacios Papadopoulos Paredes Patel Pavlov Pellegrini
    Pemberton Pereira Petrosyan Petrovic Pfeiffer Popescu Quintero Quispe Rademacher Rahimi Rajan
    Ramirez Rasmussen Reinhardt Restrepo Ricci Rochester Rodrigues Romanov Rosenberg Rousseau Saavedra
    Sakamoto Salazar Sandoval Santoro Schneider Schwarzenbach Sepulveda Shapiro Shevchenko Siddiqui
    Silvestri Sokolov Solomon Sorensen Stanislavski Stavros Subramaniam Suarez Sundaram Svensson
    Szymanski Takahashi Tanaka Tesfaye Thackeray Thornbury Toledano Torvald Traore Trevino Tsang
    Tshabalala Ueda Umarov Underhill Urquhart Valdivia Vandenberg Vasquez Velasquez Venkataraman
    Verhoeven Villanueva Vlahovic Wakefield Walczak Wanjala Watanabe Weatherby Weinstein Westergaard
    Whitfield Wojcik Worthington Yamazaki Yeboah Yilmaz Zaragoza Zawadzki Zielinski Zimmermann""".split()
)

STREET_NAMES = tuple(
    """Alder Ashgrove Beacon Birchwood Bramble Canal Cathedral Cedar Chapel Chestnut Clearwater Cooper
    Dogwood Eastgate Elmhurst Fairview Ferry Foundry Garrison Glenwood Granary Harbor Hawthorn Heron
    Highland Hillcrest Juniper Kingfisher Lakeshore Larch Laurel Linden Lighthouse Magnolia Maplewood
    Meadow Millbrook Monument Northfield Oakridge Orchard Parkside Pinehurst Poplar Quarry Redwood
    Riverside Rosewood Saddler Sandpiper Sequoia Spinnaker Stonebridge Summit Sycamore Tanner Thistle
    Tollgate Vineyard Walnut Waterford Westbrook Wheelwright Whitcomb Willow Windmill""".split()
)
STREET_KINDS = ("St", "Ave", "Rd", "Ln", "Dr", "Ct", "Blvd")

#: City, share of patients, first three digits of its postcodes.
CITIES = (
    ("Harrow Vale", 0.34, 481),
    ("Linden Falls", 0.18, 482),
    ("Port Ellery", 0.14, 483),
    ("Millbridge", 0.10, 484),
    ("Cedar Point", 0.08, 485),
    ("Northam", 0.07, 486),
    ("Saltmarsh", 0.05, 487),
    ("Brackenford", 0.04, 488),
)

#: Area codes of the phone numbers; every number ends in 555-0100 to 555-0199.
AREA_CODES = tuple(
    int(code)
    for code in """201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 224 225 228 229
    231 234 239 240 248 251 252 253 254 256 260 262 267 269 270 276 281 301 302 303 304 305 307 308
    309 310 312 313 314 315 316 317 318 319 320 321 323 325 330 331 334 336 337 339 347 351 352 360
    361 386 401 402 404 405 406 407 408 409 410 412 413 414 415 417 419 423 424 425 430 432 434 435
    440 443 469 478 479 480 484 501 502 503 504 505 507 508 509 510 512 513 515 516 517 518 520 530
    540 541 551 559 561 562 563 567 570 571 573 574 580 585 586 601 602 603 605 606 607 608 609 610
    612 614 615 616 617 618 619 620 623 626 630 631 636 641 646 650 651 660 661 662 678 682 701 702
    703 704 706 707 708 712 713 714 715 716 717 718 719 720 724 727 731 732 734 740 754 757 760 763
    765 770 772 773 774 775 781 785 786 801 802 803 804 805 806 808 810 812 813 814 815 816 817 818
    828 830 831 832 843 845 847 848 850 856 857 858 859 860 863 864 865 870 901 903 904 906 907 908
    909 910 912 913 914 915 916 917 918 919 920 925 928 931 936 937 940 941 947 949 951 952 954 956
    970 971 972 973 978 979 980 985 989""".split()
)

EMAIL_DOMAINS = ("example.com", "example.org", "example.net", "mail.example.com", "post.example.org")

#: Ward: share of visits, mean age, median stay in days, dollars a day, ICD-10 codes.
WARDS = {
    "Cardiology": (0.17, 66.0, 4.0, 2450.0, ("I10", "I21.9", "I25.10", "I48.91", "I50.9")),
    "Emergency": (0.22, 48.0, 1.2, 1900.0, ("R07.9", "S06.0", "R10.9", "J18.9", "N39.0")),
    "Endocrinology": (0.10, 58.0, 3.0, 1500.0, ("E11.9", "E11.65", "E10.9", "E05.90", "E66.9")),
    "General medicine": (0.20, 62.0, 4.5, 1350.0, ("J44.1", "J18.9", "N39.0", "K57.30", "E86.0")),
    "Maternity": (0.09, 31.0, 2.5, 1650.0, ("O80", "O24.4", "O13.3", "O82", "O99.0")),
    "Oncology": (0.08, 64.0, 5.5, 3100.0, ("C50.9", "C34.90", "C18.9", "C61", "C83.30")),
    "Orthopaedics": (0.14, 60.0, 3.5, 2200.0, ("M17.11", "S72.0", "M16.11", "S82.6", "M54.5")),
}

NOTE_OPENINGS = (
    "{name}, {age} y, admitted to {ward} on {date}.",
    "Seen on {ward}: {name} (MRN {mrn}), aged {age}.",
    "Ward round {date}. {name} comfortable overnight.",
    "{title} {last} was reviewed on {date}; {name} is {age}.",
    "Telephone review with {name} on {date}.",
    "Discharge summary for {name}, born {dob}.",
)
NOTE_MIDDLES = (
    "Blood pressure {bp}, pulse regular, chest clear.",
    "Reports shortness of breath on stairs, no chest pain; BP {bp}.",
    "HbA1c discussed, diet diary started, metformin continued.",
    "Wound clean and dry, mobilising with one stick.",
    "Afebrile for two days, antibiotics stop tomorrow, BP {bp}.",
    "Pain controlled with paracetamol, physiotherapy twice a day.",
    "Asked about side effects of the new tablets; leaflet given.",
    "Echo booked, fluid balance to be charted, weight every morning.",
    "Sleeps badly, no fever, appetite returning.",
)
NOTE_CONTACTS = (
    "Call back on {phone} after 5 pm.",
    "Results to {email}, please.",
    "Next of kin can be reached on {phone}.",
    "Prefers mail to {address}, {city}.",
    "Daughter asked for a call on {phone} or a line to {email}.",
    "Insurance asked for the number again: SSN {ssn}.",
    "",
    "",
    "",
)
NOTE_ENDINGS = (
    "Plan: review in two weeks.",
    "Plan: bloods in the morning, then home.",
    "GP letter sent.",
    "Follow-up clinic in six weeks.",
    "No change to medication.",
    "Fit for discharge tomorrow.",
)
NOTE_AUTHORS = ("ward nurse", "registrar", "consultant", "physiotherapist", "pharmacist")
