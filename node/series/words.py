"""The words that people and scanners write into names, in English, German, French, Spanish, Italian, Portuguese, Dutch
and the vendors' own: data only.

They are in the one spelling of node/series/spelling.py, with `*` for any letters.
"""


def _words(text: str) -> tuple[str, ...]:
    return tuple(" ".join(each.split()) for each in text.split(","))


# ----------------------------------------------------------------------------------------------------- contrast agent
AGENT = _words(
    """
    contrast*, kontrast*, contraat*, gbca, contrast agent, contrast medium, contrast media, gd, gad*, gd dtpa,
    gd dota, gd do 3 a, gddtpa, gddota, gdbopta, dtpa, plusc, ce, cemra, km, kmgabe, mdc, pdc, civ, mezzo di
    contrasto, produit de contraste, medio de contraste, enh, enhanced, enhancement, inj, inject*, injekt*,
    injiz*, iniett*, iniezione, inyec*, inyect*, injet*, injec*, bolus, dotarem, gadovist, gadavist, magnevist,
    multihance, prohance, omniscan, optimark, primovist, eovist, ablavar, vasovist, clariscan, artirem,
    dotagraf, dotagita, dotavision, pixxoscan, elucirem, vueway, cyclolux, feraheme, ferumoxytol, resovist,
    lumirem, magnegita, magnetolux, teslascan, dsc, dce
    """
)
AGENT_AFTER = _words(  # run together with a word for after or with
    """
    postc, postce, postgd*, postgad*, postcon*, postkm, postkontrast*, postinj*, postiny*, postinfusion,
    postenh*, nachkm, nachkontrast*, mitkm, mitkontrast*, apresgd, apresgado*, apresinj*, avecgado*, avecgd,
    dopomdc, dopogd, conmdc, concontrast*, withgd, withgad*, wgad*, withcontrast, wcontrast, metcontrast,
    nacontrast, plusgd, plusgad*, pluscontrast, pluskm
    """
)
NOT_AGENT = _words(  # contrast in another sense, enhanced otherwise
    """
    phase contrast*, transfer contrast*, contrast phase, susceptibility contrast, multi contrast, enhanced mr*,
    enhanced conversion, enhanced dicom, enhanced multi*, edge enhanc*, resolution enhanc*, image enhanc*,
    enhanced image*
    """
)
AFTER = _words(  # tell of an agent alone, too
    """
    post, delayed, tardif, tardive, tardivo, tardivi, tardio, tardia
    """
)
AFTER_SOMETHING_ELSE = _words(  # what may follow AFTER, or "pre", without a word on an agent
    """
    op, operati*, opera*, surg*, rt, radi*, treat*, therap*, chemo*, process*, proc, trauma*, stroke, ictal,
    ictus, mortem, partum, resect*, biops*, crani*, fossa, stim*, dbs, implant*, covid*, icu, ablat*, lesion*,
    recon*, hoc, natal, term, menop*, scan, norm*, sat, ant, training, exercise, dose, ecv, evt, thromb*, fall,
    concuss*, vent*, shunt*, embol*
    """
)
NEGATION = _words(  # counts directly before a word for the agent
    """
    no, non, not, none, nil, without, pre, before, prior, prior to, minus, never, free, ohne, kein, keine,
    keinen, keiner, nein, nicht, vor, sans, avant, pas, pas de, aucun, aucune, sin, antes, antes de, ningun,
    ninguno, ninguna, senza, prima, prima di, prima del, nessun, nessuno, sem, nenhum, nao, zonder, voor, geen,
    niet, un
    """
)
NEGATED = _words(  # that no agent was given, in one word
    """
    precontrast*, precon, pregad*, pregd, preinj*, prekm, prekontrast*, preenh*, noncontrast*, noncon, nongad*,
    nongd, nonenh*, nocontrast*, nogad*, nogd, unenh*, uncontrast*, vorkm, vorkontrast*, ohnekm, ohnekontrast*,
    sanscontraste, sansgado*, sansinj*, avantinj*, sincontraste, senzamdc, semcontraste, zondercontrast,
    kontrastfrei, minusc, native, nativ, natif, nativa, nativo, nativer, natives, blanco, plain, wocontrast,
    wogad*, nce
    """
)
NEGATED_ALONE = _words(  # the same, unless something else than an agent follows
    """
    pre
    """
)
WITH = _words(
    """
    with, mit, avec, con, com, met
    """
)
AND = _words(
    """
    and, und, et, e, y, en, or, ou, o, u, oder, of, +, &, /
    """
)
FILLERS = _words(  # may stand between a negation and the agent
    """
    i v, iv, any, of, the, de, di, del, dello, du, le, la, l, da, do, agent, medium, mezzo, mezzi, medio, meio,
    produit, administration, gabe
    """
)
NO_VALUE = _words(  # an element that bears one of these says nothing
    """
    unknown, unk, na, n a, n / a, nan, null, unspecified, not specified, not applicable, xxx, undefined,
    anonymized, anonymous, removed, unbekannt, inconnu, desconocido, sconosciuto, x
    """
)
NO_AGENT_VALUE = _words(  # an element that bears one of these says that there was none
    """
    0, 0 ml, 0 cc, 0 0, 0 0 ml, false, n, no, none, off, nein, nee, nao, geen, aus, no given, none given, not
    given, not administered, none administered, not used, keines, nichts
    """
)

# ---------------------------------------------------------------------------------------------------- kinds of series
# a name with one of these is that of a series, one without is that of a whole examination
SEQUENCE = _words(
    """
    t 1*, t 2*, t 1 w, pd, pdw, flair, stir, tirm, mp rage, mprage, rage, mpr, bravo, tfe, spgr, fspgr, vibe,
    ffe, tse, fse, se, flash, gre, space, cube, vista, thrive, lava, 3 d, 2 d, sag, ax, axial, cor, coronal,
    sagittal, tra, trans, transversal, dixon, dwi, dti, swi, swan, tof, epi, ep 2 d, fl 2 d, fl 3 d, tfl, mp 2
    rage, fast, fisp
    """
)
SCOUT = _words(
    """
    *scout*, locali*, lokali*, localiz*, loc, loca, locator, survey, surview, 3 pl*, 3 plane*, 3 p loc, tri
    plan*, triplan*, three plane*, smart brain, smartbrain, plan scan, planscan, pilot, aahead, aa head, auto
    align, autoalign, fast view, fastview, topogram*, scano*, reperage*, centrage, posizionamento, ubersicht*,
    uebersicht*, verkenner, overzicht*, overview, topo
    """
)
CALIBRATION = _words(
    """
    calibrat*, kalibr*, calibrac*, calibraz*, asset cal, cal, coil survey, coilsurvey, sense ref*, senseref*,
    ref scan, refscan, reference scan, prescan cal*, shim*, coil sens*, sensitivity map*, noise scan, b 1 map*,
    spulensens*, vnav*
    """
)
ANGIOGRAPHY_OR_FIELD = _words(
    """
    tof, angio*, mra, mrv, cemra, veno*, venen*, vein*, willis, cow, arter*, vessel*, gefass*, gefaess*,
    carotid*, karotis, inhance, tricks, twist, motsa, polygon*, inflow, pca, pc, phase contrast, flow, qflow,
    venc, cine, pcmr*, field map*, fieldmap*, gre field*, b 0, b 1, swi, swan, swip, t 2 *, t 2 star, qsm,
    hemo*, hamo*, medic, bold, fmri, perf*, sinus venos*, sinovenos*, sinusvenen*, 3 d pc, 2 d pc, flussmess*,
    flux
    """
)
NULLED = _words(  # tissue nulled on purpose
    """
    fgatir, wmn, wmnull*, wm null*, white matter null*, white matter suppress*, wm supp*, wmsup*, wair, gmn, gm
    null*, grey matter null*, gray matter null*, csfn, csf null*, flaws, psir, dir, wmn mprage, fast gray
    matter*, fast grey matter*
    """
)
MAPS = _words(  # parameters and synthetic images
    """
    map, maps, mapping, mapit, t 1 map*, t 2 map*, molli, shmolli, sasha, symri, synt*, mdme, qalas, quant*, qt
    1, qt 2, t 1 rho, t 1 rhow, r 1, r 2, relaxo*, relaxat*, pdmap, t 1 images, qmap*, karte, cartograph*,
    cartographie, mappa, mapa, magic
    """
)
TRANSFER = _words(
    """
    mt, mtc, mtr, mton, mt on, magneti*ation transfer, mtsat, ihmt
    """
)
NO_TRANSFER = _words(
    """
    mt off, mtoff, no mt, without mt, ohne mt, sans mt, non mt, sin mt, senza mt
    """
)
DIXON = _words(
    """
    dixon, *dixon*, ideal, flex, lava flex, lavaflex, wfs, fatwater, fat water, mrac
    """
)
DIXON_PART = _words(  # the same beside a word of DIXON
    """
    f, fat, ff, op, opp, out, outphase, fraction, r 2, t 2 *, fet, grasa, graisse
    """
)
NO_WATER = _words(  # parts of a Dixon acquisition that are no plain T1 image, whatever the method is called
    """
    opposed phase, opp phase, opp, oppphase, out of phase, out phase, outphase, outofphase, opposition de phase,
    phase opposee, gegenphase, fuori fase, fase opposta, fora de fase, fuera de fase, fase opuesta, contrafase,
    uit fase, fat only, only fat, fat image*, fat fraction, fatfraction, water fraction, pdff, fat frac*
    """
)
SUPPRESSED = _words(
    """
    fat sat*, fat supp*, fatsat*, fat sup, fat s
    """
)

# -------------------------------------------------------------------------------------------------------------- twins
COMBINED = _words(
    """
    rms, mean, combined, comb, sos, averag*, kombiniert, moyen*
    """
)
NORMALISED = _words(
    """
    norm, normali*ed, pure, pu, scic, clear, psn, prescan norm*, filtered, filt pure, bias corr*
    """
)
UNNORMALISED = _words(
    """
    orig, unnorm*, no norm, non norm*, without norm*, nonnorm*, unfiltered, raw
    """
)
UNCORRECTED = _words(
    """
    nd, no dis, nodis, no gradwarp, uncorrected, undistorted no, no gdc
    """
)
REPEATED = _words(
    """
    repeat, rpt, rep, redo, wdh, wiederholung, bis, repetido, repetida, ripetuto, herhaling
    """
)

# -------------------------------------------------------------------------------------------------- parts of the body
HEAD = _words(
    """
    head, headneck, brain, brains, skull, cerebrum, cerebr*, neuro, neurocranium, crani*, whole head,
    intracranial, intracerebral, kopf, *kopf, schadel, schaedel, *schadel, *schaedel, hirn, *hirn, *gehirn,
    neurokranium, kranium, cmrt, encephal*, crane, cranien*, cerveau, tete, cabeza, craneo, cranio*, encefal*,
    cabeca, cranial, cervello, testa, capo, encefalo, hoofd, hersen*, schedel, hjarna, hjerne, hode, huvud,
    skalle, mozg, glowa, mozek, hlava, mozgu, fej, agy, koponya, beyin, kafa, kranial, aivo*, paa, golova,
    mozga, egkefal*, hypophys*, pituitary, sella, hippocamp*, hippokamp*, temporal lobe, orbit*, iac, dementia,
    demenz, alzheimer*, memory clinic, epilep*, adni, *頭*, *脳*, *脑*, *颅*, *голов*, *мозг*, *череп*, *뇌*, *두부*,
    *머리*, *εγκεφαλ*, *κεφαλ*
    """
)
ANYTHING = _words(  # values of Body Part Examined that say nothing
    """
    unknown, unk, na, n a, n / a, nan, null, unspecified, not specified, not applicable, xxx, undefined,
    anonymized, anonymous, removed, unbekannt, inconnu, desconocido, sconosciuto, x, other, others, body, whole
    body, wholebody, wb, total body, total, none, mr, mri, irm, mrt, rm, general, misc, miscellaneous, special,
    default, refer, reference, any, various, ganzkorper, ganzkoerper, corps entier, cuerpo entero, corpo intero,
    corpo inteiro, sonstige*, standard, test, multiple, research, study, autre, otro, altro, outro, overig
    """
)
OTHER_PART = _words(
    """
    knee, knees, knie, genou*, rodilla*, ginocchi*, joelho*, meniscus, kniegelenk, spine, *spine, spinal, c
    spine, t spine, l spine, cervical, zervikal*, thora*, tora*, lumb*, lumb*sacral*, wirbel*, hws, bws, lws,
    rachis, columna, colonna, coluna, wervel*, myelon, cervicale, dorsal, sacr*, sakr*, coccyx, si joint*, isg,
    cwk, lwk, spine*, neck, hals, cuello, collo, pescoco, nek, larynx, thyroid*, schilddruse*, plexus,
    shoulder*, schulter*, epaule*, hombro*, spalla, ombro*, schouder*, clavic*, pelvis, pelvic, pelvi*, becken*,
    bassin, bacino, bekken, hip, hips, hufte, huefte, hanche*, cadera*, quadril, heup*, abdom*, bauch*,
    oberbauch, leib, buik, liver, leber*, foie, higado, fegato, figado, lever, pancre*, pankreas, mrcp, kidney*,
    niere*, renal, adrenal*, prostat*, uterus, rectum, rektum, bladder, cardi*, kardi*, heart, herz, coeur,
    corazon, cuore, coracao, hart, aorta, chest, lung*, breast*, brust, mamm*, seno, borst*, foot, feet, fuss,
    pied, piede, voet, ankle*, sprunggelenk*, osg, cheville, tobillo, caviglia, tornozelo, enkel, wrist*, hand,
    hands, handgelenk*, poignet*, muneca, polso, pulso, pols, finger*, elbow*, ellenbogen, coude, codo, gomito,
    cotovelo, elleboog, femur, thigh*, oberschenkel, cuisse*, muslo*, coscia, coxa, dij, leg, legs,
    unterschenkel, tibia, calf, forearm, humerus, extremit*, extremid*, estremit*, arm, phantom*, phantoms,
    fetus, fetal, fotal, placenta, animal, 膝*, *膝*, *脊*, *椎*, *колен*, *позвон*, *腹*
    """
)
