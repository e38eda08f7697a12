"""Words too common to stand for a person alone: a name in this list is matched only in company."""

from __future__ import annotations

from typing import Final

COMMON_WORDS: Final = frozenset(
    """
    about above access account across active actual add added after again age ago all allow
    alone along also always amber among amount and angel another any apply april are area array
    art arts ash ask assert async august autumn available await away axis back bad banks bar
    base basic bay bean been before began below best better between big bill bird birth bishop
    black block blue body bond book bool both box break bridge bright brook brooks brown buck
    burn bush business busy butler byte cache call came can cannot card care carol carter case
    cash cast chain chance change channel char charity chase chat check child christian church
    city class clay clear click close cloud code cole column columns come comes common complete
    con connection console constant content context cook cool copy corner cost could count
    country court cox crane create cross crystal current cut daisy dale data date dates dawn day
    days dean debug dec decimal deep def default delete delta depth desk detail dev did diff
    different digit dim disk display divide dobby does done door double down drake drive drop
    dtype duke each early earth east easy eden edge edit element elif else empty end enter entry
    epoch error escape eternity event every except exit expect export extra eye fact fail faith
    fall false far fast feature feb few field fields file files fill filter final find fine
    finish first fish fit five flag flat float flora flores flower flowers fold font food foot
    for ford forest form format former forward found four fox frame frank free freeman fresh
    friday from front full function future game garden gate general get given glass glen global
    gold good grace grand grant graph gray great green grey grid ground group grow guide had
    hall hand happy hard harry has hash have hazel head header heading heart heaven height help
    hence her here high hill him his history hit holiday holly home honor hope hot hour house
    how hunt hunter ice idea idle image import inch index info inner input insert inside int
    internal into iris iron island item its ivy jack jade jan jar jasmine jet job join joy judge
    july june just keep key keys kind king kit know label lake lambda land lane language large
    last late later law layer lead leaf learn least leave lee left len length less let level
    life light like lily line link list little live load local location lock log logger long
    look loop lose loss lot love low luck lumen made magnus main major make man many map marble
    march margin marina mark mask mason master match math matrix may mean means melody memory
    mercer mercy merge message meta method middle mile mill miller min mine miss mode model
    module monday money month months moon moore more morning most move much music must name
    names nan near never new news next nice night nine noble node noise none nor normal north
    nose not note nothing nov now null number object oct off offset oil old olive one online
    only open option order other our out outer output over own owner pace pack page pages paid
    pair palm panel park parse part pass past patch path pattern pearl people per perhaps period
    person phase phone piece place plain plan play plot plum point pool poor pop porter position
    possible post potter power present press price prince print private process product profile
    proof prop public pull pure push put query quick quiet quinn race rain raise random range
    rank rate raw ray read ready real reason record red reed reference reign remove replace
    request reset rest result return rice rich right ring river road robin rock roll root rose
    round row rows ruby rule run running rush sage said same sample sand saturday save say says
    scale schema score sea search second section see seed self send sep series serve server
    session set seven several shade shape sharp she shell shepherd ship short should show side
    sign signal simple since singer single six size skip sky slice slow small smart smith snow
    soft some son song soon sort source south space spec speed split spring square stack stage
    star stark start state static step stephens still stone stop store storm story stream street
    string strong struct sub such sum summer sun sunday super sure swift switch system table tag
    take tanner target task taylor team tell temp ten term test text than that the their them
    then there these they thing think third this those three through thursday time times title
    today together token too top total town trace track trade train transform tree trip true try
    tuesday tune turn turner two type under union unique unit until update upper use used user
    using val value values van variable verity version very view violet virtual void wade walk
    walker wall want ward warn warning was watch water wave way weaver web wednesday week weeks
    well went were west what when where which while white who whole why wide width wild will
    willow win wind window winter wise wish with within without wolf wood woods word words work
    world would wrap write wrong yard year years yellow yes yet york you young your zero zone
    """.split()  # noqa: SIM905 - a thousand quotes would hide the words
)
